"""Source kind `sample`: the corpus embedded in this package, which needs no download.

reviews = open_reviews("", config.data)     # splits train and test
"""

import functools
import hashlib
import json

import ml_collections

from input_pipeline import labels
from input_pipeline.sources import sample_corpus
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import field_of, source_of_pairs
from storage.errors import UserError


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the corpus; the argument is empty."""
    del argument

    def read(split: str) -> list[tuple[str, str]]:
        if split not in sample_corpus.SPLITS:
            raise UserError(
                f"{field_of(split, data)}: sample has no split {split!r}, only "
                f"{', '.join(sample_corpus.SPLITS)}"
            )
        return _pairs(split)

    def fingerprint(split: str) -> str:
        return hashlib.sha256(json.dumps(read(split)).encode()).hexdigest()

    return TextReviews(source_of_pairs(fingerprint, read), data)


@functools.cache  # read for each fingerprint and for each pass over the reviews
def _pairs(split: str) -> list[tuple[str, str]]:
    return [(text, labels.SENTIMENTS.names[label]) for text, label in sample_corpus.reviews(split)]
