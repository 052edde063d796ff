"""Source kind `shards:URL`: token ids that --mode=prepare has written to a folder or a bucket.

    reviews = open_reviews("gs://bucket/imdb", config.data)

A relative URL is a folder below `data.dir`. The sets are named train, validation and test;
`data.train_split` and `data.validation_share` were decided by the preparation.
"""

from pathlib import Path

import ml_collections

from input_pipeline.cache import expanded
from input_pipeline.encoding import Encoding, read_encoding
from input_pipeline.examples import Examples
from input_pipeline.labels import LABELS_FILE
from input_pipeline.shards import reader
from input_pipeline.shards.cache import ShardCache
from input_pipeline.shards.reader import ShardSet
from input_pipeline.sources.paths import existing_path
from input_pipeline.sources.source import Source
from input_pipeline.training_set import Sharded
from input_pipeline.vocabulary import VOCABULARY_FILE
from storage.errors import UserError
from storage.store import Store, open_store


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> "PreparedReviews":
    """Opens the store with the sets; UserError when it can't be reached."""
    url = argument
    if "://" not in argument:
        advice = "give the folder that --mode=prepare has filled"
        url = str(existing_path(argument, data.dir, advice))
    return PreparedReviews(open_store(url, "config.data.source"), data)


class PreparedReviews:
    """Reviews as the token ids of prepared shards."""

    def __init__(self, store: Store, data: ml_collections.ConfigDict):
        self._store, self._data = store, data

    def texts(self) -> Source:
        """Raises UserError: shards hold no texts."""
        raise UserError(
            f"config.data.source: got {self._data.source!r}, which is prepared already; accepted "
            "by --mode=prepare is a source of texts, such as 'tfds:NAME' or 'files:PATH'"
        )

    def make_encoding(self) -> Encoding:
        """Returns the encoding that the shards were made with."""
        encoding = read_encoding(self._store)
        if encoding is None:
            raise UserError(
                f"config.data.source: {self._store.url}/{VOCABULARY_FILE} is missing; make the "
                f"set with --mode=prepare --workdir={self._store.url}"
            )
        encoding.require(self._data, "the prepared shards")
        return encoding

    def load_split(self, split: str, encoding: Encoding) -> Examples:
        """Reads all shards of a set into memory."""
        return self._open(split, encoding).examples()

    def load_training(self, encoding: Encoding, in_memory: bool) -> tuple[Sharded, Examples]:
        """Opens the set train, whose shards are read in their turn, and loads the set validation.

        With `in_memory` the shards of train are read all together instead.
        """
        data = self._data
        # --mode=prepare has held out the validation reviews and checked both parts.
        train, validation = (self._open(split, encoding) for split in ("train", "validation"))
        return (
            Sharded(train, data.max_tokens, data.keep, in_memory),
            validation.examples().shortened(data.max_tokens, data.keep),
        )

    def _open(self, split: str, encoding: Encoding) -> ShardSet:
        """Opens a set; UserError when it was made with another encoding."""
        data, url = self._data, self._store.url
        cache = None
        # Shards in a local folder need no second local copy.
        if data.cache_dir and url.startswith("gs://"):
            folder = expanded(Path(data.cache_dir, "shards"))
            cache = ShardCache(folder, data.cache_bytes) if folder else None
        opened = reader.open_set(self._store, split, cache)
        if not opened.index.fits(encoding):
            raise UserError(
                f"config.data.source: {url}/{split} was prepared with another {VOCABULARY_FILE} or "
                f"{LABELS_FILE} than those of the run, or of a new run those beside the shards; "
                "bring back the files, or start in another --workdir, or prepare the reviews with "
                "config.checkpoint.init_from of the run"
            )
        return opened
