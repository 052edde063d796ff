"""Mode `prepare`: tokenises a source once, into sets of shards that training reads piece by piece.

    prepare(config, open_store("gs://bucket/imdb"))

The same call completes what a killed one left, and makes nothing again that exists. It leaves

    prepare.json                       what determines the rest; another source or config is refused
    vocabulary.txt, labels.txt
    train/, validation/, test/         shards, and last index.json; see `input_pipeline.shards`
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from configs.schema.stored import CONFIG_FILE
from input_pipeline import batch_plan, load, streaming
from input_pipeline import vocabulary as vocabularies
from input_pipeline.encoding import Encoding, read_encoding, write_encoding
from input_pipeline.labels import LABELS_FILE, SENTIMENTS, Labels, choose
from input_pipeline.shards import format as shard_format
from input_pipeline.shards.format import Index, PackedReviews
from input_pipeline.shards.reader import open_set
from input_pipeline.shards.writer import ShardWriter
from input_pipeline.sources.reviews import hold_out
from input_pipeline.sources.source import Source
from input_pipeline.vocabulary import VOCABULARY_FILE
from storage import json_object
from storage.errors import UserError
from storage.store import Store, probe
from trainer.modes.interface import Call
from trainer.run import workdir

_REVIEWS = "reviews of "  # a key of the recipe begins with it


def run(call: Call) -> None:
    """Runs the mode."""
    prepare(call.config, call.store)


def prepare(config: ml_collections.ConfigDict, store: Store) -> None:
    """Makes the sets train, validation and test from a config's splits; `store` is for them only.

    Raises UserError when the store holds a run, or sets of another source or config.
    """
    if store.exists(CONFIG_FILE):
        raise UserError(f"--workdir: {store.url} holds a run; give a separate folder for the sets")
    source, data = load.open_reviews(config.data).texts(), config.data
    store.sweep()
    probe(store)
    recipe = _recipe(config, source)
    sizes, labels = _contents(store, recipe, source, data)
    print(f"Labels: {labels}", flush=True)
    held_out = batch_plan.held_out(sizes[data.train_split], data.validation_share)
    encoding = read_encoding(store)
    if encoding is None:
        encoding = _make_encoding(config, source, ~held_out, labels)
        write_encoding(store, encoding)
    everything = np.ones(sizes[data.test_split], bool)
    made: dict[str, Index] = {}
    for split, sets in (
        (data.train_split, {"train": ~held_out, "validation": held_out}),
        (data.test_split, {"test": everything}),
    ):
        digest = recipe[f"{_REVIEWS}{split}"]
        made |= _make_sets(store, source, split, sets, encoding, data.shard_reviews, digest)
    for name, index in made.items():
        size = sum(shard.size(index.dtype) for shard in index.shards)
        print(
            f"{name}: {sum(index.reviews_per_shard):,} reviews, {size / 1e6:,.1f} MB in "
            f"{len(index.shards):,} shard(s)"
        )
    print(f"Prepared; train with --config.data.source=shards:{store.url}", flush=True)


def _recipe(config: ml_collections.ConfigDict, source: Source) -> dict[str, Any]:
    """Returns everything that determines what the sets hold; config values by their field."""
    data = config.data
    recipe = {
        f"config.data.{field}": data[field]
        for field in ("train_split", "test_split", "validation_share", "shard_reviews")
    }
    if config.checkpoint.init_from:
        recipe["config.checkpoint.init_from"] = config.checkpoint.init_from
    else:
        recipe["config.data.vocabulary_size"] = data.vocabulary_size
    if data.positive_label:
        recipe["config.data.positive_label"] = data.positive_label
    for split in (data.train_split, data.test_split):
        recipe[f"{_REVIEWS}{split}"] = _digest(source.fingerprint(split))
    return recipe


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _contents(
    store: Store, recipe: dict[str, Any], source: Source, data: ml_collections.ConfigDict
) -> tuple[dict[str, int], Labels]:
    """Returns the reviews of each split and the labels, as the first call on this store found them.

    Raises UserError when the first call had another recipe.
    """
    if not store.exists(workdir.RECIPE_FILE):
        sizes, labels = _count(source, data)
        found = {"order": recipe, "sizes": sizes, "labels": labels.names}
        content = json.dumps(found, indent=1) + "\n"
        # Another process may have created the file by now: its recipe is compared below.
        with contextlib.suppress(FileExistsError):
            store.create(workdir.RECIPE_FILE, content.encode())
    try:
        stored = json_object.parse(store.read(workdir.RECIPE_FILE))
        labels = Labels(tuple(stored.get("labels", SENTIMENTS.names)))
        old, sizes = dict(stored["order"]), {k: int(v) for k, v in stored["sizes"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--workdir: {store.url}/{workdir.RECIPE_FILE} can't be read ({error}); give another "
            "folder"
        ) from error
    old.pop("rules of the words", None)  # of older versions; the vocabulary names its rules
    differ = sorted(key for key in recipe.keys() | old.keys() if recipe.get(key) != old.get(key))
    if differ:
        raise UserError(
            "; ".join(_difference(key, old.get(key), recipe.get(key)) for key in differ)
            + f"; {store.url} holds sets made that way: give the earlier values, or another "
            "--workdir"
        )
    return sizes, labels


def _difference(key: str, old: Any, new: Any) -> str:
    """Returns what is different, in words; the reviews are known by a digest only."""
    if key.startswith(_REVIEWS):
        return f"config.data.source: the {key} are not the ones of before"
    return f"{key}: {old!r} before, now {new!r}"


def _count(source: Source, data: ml_collections.ConfigDict) -> tuple[dict[str, int], Labels]:
    """Returns the number of reviews of each split, and the labels of the training split.

    Raises UserError when training and validation reviews can't be made of the training split, or
    the test split has other labels.
    """
    with _progress(f"Counting {data.train_split}", None) as advance:
        names, places = streaming.read_labels(source, data.train_split, advance)
    labels = choose(
        dict(zip(names, np.bincount(places).tolist(), strict=True)), data.positive_label
    )
    hold_out(data, labels.numbers(names, data.train_split)[places], labels)
    sizes = {data.train_split: len(places)}
    if data.test_split not in sizes:
        with _progress(f"Counting {data.test_split}", None) as advance:
            names, places = streaming.read_labels(source, data.test_split, advance)
        labels.numbers(names, data.test_split)
        sizes[data.test_split] = len(places)
    return sizes, labels


def _make_encoding(
    config: ml_collections.ConfigDict, source: Source, training: np.ndarray, labels: Labels
) -> Encoding:
    """Returns the labels with the vocabulary of the reviews that `training` <bool>[reviews] marks.

    With `checkpoint.init_from` it is that run's encoding instead.
    """
    if config.checkpoint.init_from:
        return workdir.initial_encoding(config)
    split, reviews = config.data.train_split, len(training)
    with _progress("Counting tokens", reviews) as advance:

        def chosen() -> Iterator[tf.Tensor]:
            for start, texts, _ in streaming.numbered_batches(source, split, reviews):
                yield tf.boolean_mask(texts, training[start : start + len(texts)])
                advance(len(texts))

        counts = streaming.count_tokens(chosen())
    return Encoding(vocabularies.build(counts, config.data.vocabulary_size), labels)


def _make_sets(
    store: Store,
    source: Source,
    split: str,
    sets: dict[str, np.ndarray],
    encoding: Encoding,
    shard_reviews: int,
    digest: str,
) -> dict[str, Index]:
    """Makes the sets of one split and returns their indices by name.

    A set has the reviews where its mask in `sets`, <bool>[reviews], is True. The split is read
    once, and not at all when every set is finished.
    """
    finished = {name: index for name in sets if (index := _finished(store, name, encoding))}
    if len(finished) == len(sets):
        return finished
    dtype = shard_format.id_dtype(len(encoding.vocabulary))
    writers = {
        name: ShardWriter(store, name, int(mask.sum()), shard_reviews, dtype)
        for name, mask in sets.items()
    }
    total = len(next(iter(sets.values())))
    with _progress(f"Preparing {split}", total) as advance:
        for name, first, reviews in _tokenised(source, split, sets, encoding, writers, advance):
            writers[name].add(first, reviews)
    return {name: writer.finish(encoding, digest) for name, writer in writers.items()}


def _finished(store: Store, name: str, encoding: Encoding) -> Index | None:
    """Returns the index of a finished set, or None for one that is to be made."""
    if not store.exists(f"{name}/{shard_format.INDEX}"):
        return None
    index = open_set(store, name, cache=None).index
    if not index.fits(encoding):
        raise UserError(
            f"--workdir: {store.url}: {VOCABULARY_FILE} or {LABELS_FILE} is not what "
            f"{name}/{shard_format.INDEX} was made with; bring back the file, or give another "
            "folder"
        )
    return index


def _tokenised(
    source: Source,
    split: str,
    sets: dict[str, np.ndarray],
    encoding: Encoding,
    writers: dict[str, ShardWriter],
    advance: Callable[[int], object],
) -> Iterator[tuple[str, int, PackedReviews]]:
    """Yields (set, rank of the first review within the set, reviews) of what the writers lack."""
    (total,) = {len(mask) for mask in sets.values()}
    vocabulary, labels = encoding
    dtype = shard_format.id_dtype(len(vocabulary))

    def batches() -> Iterator[tuple]:
        ranks = dict.fromkeys(sets, 0)
        for start, texts, names in streaming.numbered_batches(source, split, total):
            parts = []
            for name, mask in sets.items():
                chosen = mask[start : start + len(names)]
                if writers[name].lacks(ranks[name], int(chosen.sum())):
                    parts.append((name, ranks[name], chosen))
                ranks[name] += int(chosen.sum())
            yield texts, names, parts

    def tokenise(item: tuple) -> tuple[int, list[tuple[str, int, PackedReviews]]]:
        texts, names, parts = item
        if not parts:
            return len(names), []
        ids = vocabulary.encode(texts)
        flat, lengths = ids.flat_values.numpy(), ids.row_lengths().numpy()
        reviews = PackedReviews(
            flat.astype(dtype),
            lengths.astype(np.uint32),
            labels.numbers(names, split).astype(np.uint8),
        )
        return len(names), [(name, first, reviews.select(mask)) for name, first, mask in parts]

    for count, parts in streaming.in_threads(tokenise, batches()):
        yield from parts
        advance(count)


@contextlib.contextmanager
def _progress(name: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Shows a progress bar over reviews, if standard error is a terminal.

    Gives the function that advances it by a number of reviews.
    """
    bar = tqdm(desc=name, total=total, unit=" reviews", disable=None, leave=False, unit_scale=True)
    with contextlib.closing(bar):
        yield bar.update
