"""A source of a few reviews in a list, which counts how often it is read."""

import tensorflow as tf

from input_pipeline.sources.source import Source

REVIEWS = [
    *(("A fine film.", "pos"), ("Bad, bad film!", "neg")),
    *(("", "neg"), ("It's fine<br />again.", "pos")),
]


class ListedReviews:
    """Reviews in a list, with a source of them that counts how often it is read."""

    def __init__(self, reviews=REVIEWS, fingerprint="1", read_batch=3):
        self.reads = 0
        self._reviews, self._read_batch = reviews, read_batch
        self.source = Source(lambda split: f"{split} {fingerprint}", self._batches)

    def _batches(self, _):
        self.reads += 1
        for start in range(0, len(self._reviews), self._read_batch):
            texts, names = zip(*self._reviews[start : start + self._read_batch], strict=True)
            yield tf.constant(texts), list(names)
