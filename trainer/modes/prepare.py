"""Mode `prepare`: tokenises a source once, into sets of shards that training reads piece by piece.

    prepare(config, open_store("gs://bucket/imdb"))

The same call completes what a killed one left, and makes nothing again that exists. Calls at the
same time, on any machines, share the work. They leave

    prepare.json                       what determines the rest; another source or config is refused
    vocabulary.txt, labels.txt
    train/, validation/, test/         shards, and last index.json; see `input_pipeline.shards`

and until then workers/, see `storage.leases`. Each worker reads the source and counts its labels
itself; counting tokens and making shards, which take the most time, are shared.
"""

import contextlib
import hashlib
import json
from typing import Any

import ml_collections
import numpy as np

from configs.schema.stored import CONFIG_FILE
from input_pipeline import batch_plan, load, streaming, text
from input_pipeline import vocabulary as vocabularies
from input_pipeline.encoding import Encoding, read_encoding, write_encoding
from input_pipeline.labels import SENTIMENTS, Labels, choose
from input_pipeline.shards.counting import TokenCounts
from input_pipeline.shards.format import Index
from input_pipeline.shards.making import SetMaking, Split
from input_pipeline.sources.reviews import hold_out
from input_pipeline.sources.source import Source
from input_pipeline.vocabulary import VOCABULARY_FILE
from storage import json_object, leases
from storage.errors import UserError
from storage.store import Store
from trainer.modes.interface import Call
from trainer.run import terminal, workdir

_REVIEWS = "reviews of "  # a key of the recipe begins with it


def run(call: Call) -> None:
    """Runs the mode."""
    prepare(call.config, call.store)


def prepare(
    config: ml_collections.ConfigDict, store: Store, lapse_seconds: float = leases.LAPSE_SECONDS
) -> None:
    """Makes the sets train, validation and test from a config's splits; `store` is for them only.

    Returns when all sets are made, by this call or others that share the work; `lapse_seconds` is
    the same for all of them. Raises UserError when the store holds a run, or sets of another source
    or config.
    """
    if store.exists(CONFIG_FILE):
        raise UserError(f"--workdir: {store.url} holds a run; give a separate folder for the sets")
    if split := config.data.unlabelled_split:
        raise UserError(
            f"config.data.unlabelled_split: got {split!r} with --mode=prepare, whose shards hold "
            "labelled reviews only; accepted is ''"
        )
    source, data = load.open_reviews(config.data).texts(), config.data
    store.sweep()
    with leases.Worker(store, lapse_seconds) as worker:
        if others := worker.others():
            terminal.say(f"Shares the work with {others} other worker(s), running or just lost")
        recipe = _recipe(config, source)
        sizes, labels = _contents(store, recipe, source, data)
        terminal.say(f"Labels: {labels}")
        held_out = batch_plan.held_out(sizes[data.train_split], data.validation_share)
        encoding = _encoding(config, store, worker, source, ~held_out, labels)
        everything = np.ones(sizes[data.test_split], bool)
        jobs = [
            SetMaking(store, worker, source, split, encoding, data.shard_reviews)
            for split in (
                _split(data.train_split, {"train": ~held_out, "validation": held_out}, recipe),
                _split(data.test_split, {"test": everything}, recipe),
            )
        ]
        leases.complete(worker, jobs, terminal.say)
        leases.clear(store)
    sets = {name: index for job in jobs for name, index in job.indices.items()}
    _report(sets)
    if worker.met:
        shards = sum(len(index.shards) for index in sets.values())
        written = sum(job.written for job in jobs)
        terminal.say(f"This worker made {written:,} of the {shards:,} shard(s)")
    terminal.result(f"Prepared; train with --config.data.source=shards:{store.url}")


def _report(sets: dict[str, Index]) -> None:
    for name, index in sets.items():
        size = sum(shard.size(index.dtype) for shard in index.shards)
        terminal.say(
            f"{name}: {sum(index.reviews_per_shard):,} reviews, {size / 1e6:,.1f} MB in "
            f"{len(index.shards):,} shard(s)"
        )


def _split(name: str, sets: dict[str, np.ndarray], recipe: dict[str, Any]) -> Split:
    return Split(name, sets, recipe[f"{_REVIEWS}{name}"])


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
    if data.punctuation:
        recipe["config.data.punctuation"] = True
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
    with streaming.progress(f"Counting {data.train_split}", None) as advance:
        names, places = streaming.read_labels(source, data.train_split, advance)
    labels = choose(
        dict(zip(names, np.bincount(places).tolist(), strict=True)), data.positive_label
    )
    hold_out(data, labels.numbers(names, data.train_split)[places], labels)
    sizes = {data.train_split: len(places)}
    if data.test_split not in sizes:
        with streaming.progress(f"Counting {data.test_split}", None) as advance:
            names, places = streaming.read_labels(source, data.test_split, advance)
        labels.numbers(names, data.test_split)
        sizes[data.test_split] = len(places)
    return sizes, labels


def _encoding(
    config: ml_collections.ConfigDict,
    store: Store,
    worker: leases.Worker,
    source: Source,
    training: np.ndarray,
    labels: Labels,
) -> Encoding:
    """Returns the encoding in the store, which is made first if it isn't there.

    It has the labels, with the vocabulary of the reviews that `training` <bool>[reviews] marks.
    With `checkpoint.init_from` it is that run's encoding instead.
    """
    data, rules = config.data, text.rules_of(config.data.punctuation)
    counting = TokenCounts(
        *(store, worker, source, data.train_split, training, rules),
        is_needed=lambda: not store.exists(VOCABULARY_FILE),
    )
    while (encoding := read_encoding(store)) is None:
        if config.checkpoint.init_from:
            write_encoding(store, workdir.initial_encoding(config, labels=labels))
            continue
        leases.complete(worker, [counting], terminal.say)
        # The counts are removed when all sets are made, and then there is a vocabulary.
        with contextlib.suppress(FileNotFoundError):
            made = vocabularies.build(counting.total(), data.vocabulary_size, rules)
            write_encoding(store, Encoding(made, labels))
    return encoding
