"""Tokenises a source once and for all, into sets of shards that training reads piece by piece.

    prepare(config, open_store("gs://bucket/imdb"))

The same call goes on where a killed one stood: what is there is not made again. It leaves

    prepare.json                       what decides the rest; another source or config is refused
    vocabulary.txt
    train/, validation/, test/         shards, and last index.json; see `input_pipeline.shards`
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator

import ml_collections
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from input_pipeline import batch_plan, load, streaming, text, vocabulary
from input_pipeline.shards import format as shards
from input_pipeline.shards.format import Index, Reviews
from input_pipeline.shards.writer import ShardWriter
from input_pipeline.sources.registry import Source
from input_pipeline.vocabulary import VOCABULARY_FILE, Vocabulary, read_vocabulary
from storage.errors import UserError
from storage.store import Store, probe
from trainer.run import workdir

ORDER_FILE = "prepare.json"


def prepare(config: ml_collections.ConfigDict, store: Store) -> None:
    """Makes the sets train, validation and test of a config's splits; the store is theirs alone.

    Raises UserError when the store holds a run, or sets of another source or config.
    """
    if store.exists(workdir.CONFIG_FILE):
        raise UserError(f"--workdir: {store.url} holds a run; give a folder of the sets' own")
    source, data = load.open_source(config.data), config.data
    store.sweep()
    probe(store)
    order = _order(config, source)
    sizes = _sizes(store, order, source, data)
    held_out = batch_plan.held_out(sizes[data.train_split], data.validation_share)
    words = read_vocabulary(store)
    if words is None:
        words = _vocabulary(config, source, ~held_out)
        store.write(VOCABULARY_FILE, words.to_bytes())
    everything = np.ones(sizes[data.test_split], bool)
    made = {}
    for split, sets in (
        (data.train_split, {"train": ~held_out, "validation": held_out}),
        (data.test_split, {"test": everything}),
    ):
        digest = order[f"reviews of {split}"]
        made |= _make(store, source, split, sets, words, data.shard_reviews, digest)
    for name, index in made.items():
        size = sum(shard.size(index.token) for shard in index.shards)
        print(
            f"{name}: {sum(index.reviews):,} reviews, {size / 1e6:,.1f} MB in "
            f"{len(index.shards):,} shard(s)"
        )
    print(f"Prepared; train with --config.data.source=shards:{store.url}", flush=True)


def _order(config: ml_collections.ConfigDict, source: Source) -> dict[str, object]:
    """Whatever decides what the sets hold, by the field that it comes from."""
    data = config.data
    order = {
        f"config.data.{field}": data[field]
        for field in ("train_split", "test_split", "validation_share", "shard_reviews")
    }
    if config.checkpoint.init_from:
        order["config.checkpoint.init_from"] = config.checkpoint.init_from
    else:
        order["config.data.vocabulary_size"] = data.vocabulary_size
    for split in (data.train_split, data.test_split):
        order[f"reviews of {split}"] = _digest(source.fingerprint(split))
    return {**order, "rules of the words": _digest(text.RULES)}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _sizes(
    store: Store, order: dict[str, object], source: Source, data: ml_collections.ConfigDict
) -> dict[str, int]:
    """Reviews of each split, counted by the first of the calls that make a set.

    Raises UserError when that call's order was another.
    """
    if not store.exists(ORDER_FILE):
        sizes = _count(source, data)
        content = json.dumps({"order": order, "sizes": sizes}, indent=1) + "\n"
        # Lost to one who has begun meanwhile: theirs is compared below.
        with contextlib.suppress(FileExistsError):
            store.create(ORDER_FILE, content.encode())
    try:
        stored = json.loads(store.read(ORDER_FILE))
        old, sizes = dict(stored["order"]), {k: int(v) for k, v in stored["sizes"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--workdir: {store.url}/{ORDER_FILE} can't be read ({error}); give another folder"
        ) from error
    differ = sorted(key for key in order.keys() | old.keys() if order.get(key) != old.get(key))
    if differ:
        raise UserError(
            "; ".join(
                f"{key}: {_short(old, key)} before, now {_short(order, key)}" for key in differ
            )
            + f"; {store.url} holds sets made so: give what it was before, or another --workdir"
        )
    return sizes


def _short(order: dict[str, object], key: str) -> str:
    value = order.get(key)
    return value[:8] if key.startswith(("reviews", "rules")) and value else repr(value)


def _count(source: Source, data: ml_collections.ConfigDict) -> dict[str, int]:
    """Reviews of each split; UserError when they don't make the sets that a training needs."""
    sizes = {}
    for split in dict.fromkeys((data.train_split, data.test_split)):
        with _bar(f"Counting {split}", None) as advance:
            labels = streaming.read_labels(source, split, advance)
        sizes[split] = len(labels)
        if split == data.train_split:
            load.hold_out(data, labels)
    return sizes


def _vocabulary(
    config: ml_collections.ConfigDict, source: Source, training: np.ndarray
) -> Vocabulary:
    if config.checkpoint.init_from:
        return workdir.initial_vocabulary(config)
    data = config.data
    with _bar("Counting words", len(training)) as advance:

        def chosen() -> Iterator[tf.Tensor]:
            for start, texts, _ in streaming.numbered(source, data.train_split, len(training)):
                yield tf.boolean_mask(texts, training[start : start + len(texts)])
                advance(len(texts))

        return vocabulary.build(streaming.count_words(chosen()), data.vocabulary_size)


def _make(
    store: Store,
    source: Source,
    split: str,
    sets: dict[str, np.ndarray],
    words: Vocabulary,
    shard_reviews: int,
    digest: str,
) -> dict[str, Index]:
    """The sets of one split, by name, each of the reviews where its mask <bool>[reviews] is True.

    They are made in one reading, or in none when they are there.
    """
    there = {name: _finished(store, name, words) for name in sets}
    if all(there.values()):
        return there
    token = shards.token_type(len(words))
    writers = {
        name: ShardWriter(store, name, int(mask.sum()), shard_reviews, token)
        for name, mask in sets.items()
    }
    total = len(next(iter(sets.values())))
    with _bar(f"Preparing {split}", total) as advance:
        for name, first, rows in _tokenised(source, split, sets, words, writers, advance):
            writers[name].add(first, rows)
    return {name: writer.finish(words.digest, digest) for name, writer in writers.items()}


def _finished(store: Store, name: str, words: Vocabulary) -> Index | None:
    """The index of a set that was made before."""
    if not store.exists(f"{name}/{shards.INDEX}"):
        return None
    index = shards.open_set(store, name, cache=None).index
    if index.vocabulary != words.digest:
        raise UserError(
            f"--workdir: {store.url}/{VOCABULARY_FILE} is not the vocabulary that "
            f"{name}/{shards.INDEX} was made with; bring back that file, or give another folder"
        )
    return index


def _tokenised(
    source: Source,
    split: str,
    sets: dict[str, np.ndarray],
    words: Vocabulary,
    writers: dict[str, ShardWriter],
    advance: Callable[[int], object],
) -> Iterator[tuple[str, int, Reviews]]:
    """(set, rank of the first within the set, reviews), of those that the writers lack."""
    (total,) = {len(mask) for mask in sets.values()}
    token = shards.token_type(len(words))

    def batches() -> Iterator[tuple]:
        ranks = dict.fromkeys(sets, 0)
        for start, texts, labels in streaming.numbered(source, split, total):
            parts = []
            for name, mask in sets.items():
                chosen = mask[start : start + len(labels)]
                if writers[name].lacks(ranks[name], int(chosen.sum())):
                    parts.append((name, ranks[name], chosen))
                ranks[name] += int(chosen.sum())
            yield texts, labels, parts

    def tokenise(item: tuple) -> tuple[int, list[tuple[str, int, Reviews]]]:
        texts, labels, parts = item
        if not parts:
            return len(labels), []
        ids = words.lookup(text.tokenize(texts))
        flat, lengths = ids.flat_values.numpy(), ids.row_lengths().numpy()
        rows = Reviews(flat.astype(token), lengths.astype(np.uint32), labels.astype(np.uint8))
        return len(labels), [(name, first, rows.select(chosen)) for name, first, chosen in parts]

    for count, parts in streaming.in_threads(tokenise, batches()):
        yield from parts
        advance(count)


@contextlib.contextmanager
def _bar(name: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """A bar over reviews; nothing shows where standard error is no terminal."""
    bar = tqdm(desc=name, total=total, unit=" reviews", disable=None, leave=False, unit_scale=True)
    with contextlib.closing(bar):
        yield bar.update
