"""Mode `prepare`: the sets it makes, how it completes them after a kill, and what it refuses."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from input_pipeline import batch_plan, load
from input_pipeline import vocabulary as vocabularies
from input_pipeline.encoding import read_encoding
from input_pipeline.shards.format import INDEX
from input_pipeline.shards.reader import open_set
from input_pipeline.training_set import InMemory, Sharded
from storage.errors import UserError
from storage.store import open_store
from tests.conftest import small_config
from tests.fakes.gcs_faults import Fault
from trainer.machines.preemption import StopRequests
from trainer.modes import prepare
from trainer.modes.train import train_and_evaluate
from trainer.run import workdir
from trainer.run.clock import Clock

SETS = ("train", "validation", "test")


@pytest.fixture
def config(reviews):
    return prepare_config(reviews)


def prepare_config(reviews, shard_reviews=100):
    config = small_config()
    config.data.source = f"files:{reviews}"
    with config.unlocked():
        config.data.shard_reviews = shard_reviews
    return config


def contents(store):
    """Returns the bytes of each object by name, claims left out."""
    return {name: store.read(name) for name in store.list() if not name.startswith("claims/")}


def in_memory(config, encoding):
    """Returns the examples of each set, not cut, loaded as a run without shards loads them."""
    reviews = load.load_split(config.data, "train", encoding)
    held_out = batch_plan.held_out(len(reviews), config.data.validation_share)
    parts = [reviews.take(np.flatnonzero(mask)) for mask in (~held_out, held_out)]
    return [*parts, load.load_split(config.data, "test", encoding)]


def opened(store, split):
    return open_set(store, split, cache=None)


@pytest.fixture(scope="module")
def prepared(reviews, tmp_path_factory):
    """Returns the store of an uninterrupted preparation. Tests must not change it."""
    store = open_store(str(tmp_path_factory.mktemp("prepared") / "set"))
    prepare.prepare(prepare_config(reviews), store)
    return store


@pytest.fixture
def copy(prepared, tmp_path):
    """Returns the store of a copy of `prepared` that a test may change."""
    return open_store(str(shutil.copytree(prepared.url, tmp_path / "copy")))


class Killed(BaseException):
    """A simulated kill. It is no Exception, so the product does not catch it."""


class KillingStore:
    """A store whose `number`-th write raises Killed, after the data is stored if `done`.

    The leases and claims of workers are not counted.
    """

    def __init__(self, store, number, done):
        self._store, self._writes_left, self._done = store, number, done

    def __getattr__(self, name):
        return getattr(self._store, name)

    def write(self, name, data, check=None):
        self._killing(self._store.write, name, data)

    def create(self, name, data):
        if name.startswith(("workers/lease-", "workers/claim-")):
            self._store.create(name, data)
        else:
            self._killing(self._store.create, name, data)

    def _killing(self, write, name, data):
        self._writes_left -= 1
        if self._writes_left == 0 and not self._done:
            raise Killed
        write(name, data)
        if self._writes_left == 0:
            raise Killed


def test_sets_hold_the_reviews_of_a_run_without_shards(store, config, capsys):
    config.data.shard_reviews = 1000  # one shard for all, which keeps their order
    prepare.prepare(config, store)
    encoding = workdir.initial_encoding(config)
    assert read_encoding(store) == encoding
    for split, expected in zip(SETS, in_memory(config, encoding), strict=True):
        got = opened(store, split).examples()
        assert got.digest == expected.digest
        assert (got.tokens.dtype, got.labels.dtype) == (expected.tokens.dtype, np.int32)
    output = capsys.readouterr().out
    assert "train: 644 reviews, " in output
    assert f"--config.data.source=shards:{store.url}" in output


def test_several_shards_hold_the_same_reviews(prepared, config):
    encoding = workdir.initial_encoding(config)
    for split, expected in zip(SETS, in_memory(config, encoding), strict=True):
        shards = opened(prepared, split)
        assert shards.index.fits(encoding)
        assert max(shards.index.reviews_per_shard) <= 100
        got = shards.examples()
        assert sorted(got.tokens.to_list()) == sorted(expected.tokens.to_list())
        assert got.labels.sum() == expected.labels.sum()


def test_one_shard_trains_in_the_order_of_a_run_without_shards(store, config):
    config.data.shard_reviews = 1000
    prepare.prepare(config, store)
    encoding = workdir.initial_encoding(config)
    sharded = Sharded(opened(store, "train"), max_tokens=20, keep="tail")
    unsharded = InMemory(in_memory(config, encoding)[0].shortened(20, "tail"))
    batches = [data.epoch(16, 16, 0, 1).batches(1) for data in (sharded, unsharded)]
    for got, expected in zip(*batches, strict=True):
        for left, right in zip(got, expected, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 9, 13, 14, 15, 16])
def test_next_start_completes_a_preparation_killed_at_any_write(
    prepared, config, tmp_path, number, done
):
    store = open_store(str(tmp_path / "set"))
    with pytest.raises(Killed):
        prepare.prepare(config, KillingStore(store, number, done))
    left_by_kill = {n: data for n, data in contents(store).items() if not n.startswith("workers/")}
    prepare.prepare(config, store)
    assert contents(store) == contents(prepared)
    assert left_by_kill.items() <= contents(prepared).items()


def test_next_start_completes_a_preparation_killed_in_a_bucket(cloud, prepared, config, tmp_path):
    url = f"gs://bucket/{tmp_path.name}/set"
    code = f"""
import os, signal, sys
from storage.gcs import GcsStore
from storage.store import open_store
from tests.trainer.modes.prepare_test import prepare, prepare_config
write = GcsStore.write
def write_and_kill(store, name, data, check=None):
    write(store, name, data, check)
    if name.startswith("train/000003"):
        os.kill(os.getpid(), signal.SIGKILL)
GcsStore.write = write_and_kill
prepare.prepare(prepare_config({config.data.source.removeprefix("files:")!r}), open_store({url!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    store = open_store(url)
    assert len(store.list("train/")) == 4
    assert store.list("workers/lease-")
    prepare.prepare(config, store, lapse_seconds=1.0)
    assert contents(store) == contents(prepared)


def test_source_is_not_read_again_for_finished_sets(copy, config, monkeypatch, capsys):
    monkeypatch.setattr(prepare.SetMaking, "run", None)
    monkeypatch.setattr(prepare.streaming, "read_labels", None)
    prepare.prepare(config, copy)
    assert "train: 644 reviews" in capsys.readouterr().out


def test_only_missing_shards_are_made(copy, config, monkeypatch):
    expected = contents(copy)
    for name in (f"test/{INDEX}", copy.list("test/")[0]):
        copy.delete(name)
    written, write = [], copy.write
    monkeypatch.setattr(
        copy, "write", lambda name, data, check=None: (written.append(name), write(name, data))
    )
    prepare.prepare(config, copy)
    assert contents(copy) == expected
    assert written == copy.list("test/0")


# Message of the refusal -> the change of the config that causes it.
CHANGES = {
    "config.data.validation_share: 0.08 before, now 0.1": lambda c: c.data.update(
        validation_share=0.1
    ),
    "config.data.vocabulary_size: 200 before, now 300": lambda c: c.data.update(
        vocabulary_size=300
    ),
    "config.data.shard_reviews: 100 before, now 50": lambda c: c.data.update(shard_reviews=50),
    "config.data.source: the reviews of train are not the ones of before": lambda c: c.data.update(
        source="sample"
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_sets_of_another_config_or_source_are_refused(copy, config, change):
    CHANGES[change](config)
    before = contents(copy)
    with pytest.raises(UserError, match=change):
        prepare.prepare(config, copy)
    assert contents(copy) == before


def test_fields_without_effect_on_the_sets_may_change(copy, config):
    config.data.max_tokens = 7
    config.train.batch_size = 32
    prepare.prepare(config, copy)


def test_preparation_begun_by_older_text_rules_is_completed_by_them(copy, config):
    recipe = json.loads(copy.read(workdir.RECIPE_FILE))
    recipe["order"]["rules of the words"] = "ae2a2637"  # as older versions wrote it
    copy.write(workdir.RECIPE_FILE, json.dumps(recipe).encode())
    older = dataclasses.replace(read_encoding(copy).vocabulary, rules=1)
    copy.write("vocabulary.txt", older.to_bytes())
    for name in copy.list():
        if name.startswith(tuple(f"{split}/" for split in SETS)):
            copy.delete(name)
    prepare.prepare(config, copy)
    assert read_encoding(copy).vocabulary == older
    assert opened(copy, "test").index.vocabulary_digest == older.digest


def test_run_in_a_folder_of_shards_is_refused(config, copy):
    config.data.source = "sample"
    before = contents(copy)
    with pytest.raises(UserError, match=r"holds prepared shards; .*data\.source=shards:"):
        train_and_evaluate(config, copy, Clock(), StopRequests())
    assert contents(copy) == before


def test_workdir_of_a_run_is_refused(config, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"^--workdir: .* holds a run"):
        prepare.prepare(config, open_store(str(tmp_path)))


def test_reviews_without_labels_are_refused(config, tmp_path):
    config.data.unlabelled_split = "unsup"
    with pytest.raises(UserError, match=r"data\.unlabelled_split: got 'unsup' with --mode=prepare"):
        prepare.prepare(config, open_store(str(tmp_path)))


def test_vocabulary_of_another_run_is_used(config, tmp_path):
    vocabulary = vocabularies.build({"film": 2, "good": 1}, 4)
    config.checkpoint.init_from = str(tmp_path)
    (tmp_path / "vocabulary.txt").write_bytes(vocabulary.to_bytes())
    (tmp_path / "config.json").write_text(config.to_json())
    store = open_store(str(tmp_path / "set"))
    prepare.prepare(config, store)
    assert read_encoding(store).vocabulary == vocabulary
    assert opened(store, "train").index.vocabulary_digest == vocabulary.digest


def test_changed_vocabulary_is_refused(copy, config):
    copy.write("vocabulary.txt", b"<pad>\n<unk>\nfilm\n")
    with pytest.raises(UserError, match=r"vocabulary\.txt or labels\.txt is not what train/index"):
        prepare.prepare(config, copy)


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_validation_share_that_leaves_a_set_empty_is_refused(config, tmp_path, share):
    config.data.validation_share = share
    with pytest.raises(UserError, match=r"^config\.data\.validation_share: got "):
        prepare.prepare(config, open_store(str(tmp_path)))


def test_shards_are_refused_as_a_source(copy, config, tmp_path):
    config.data.source = f"shards:{copy.url}"
    with pytest.raises(
        UserError, match=r"^config\.data\.source: got 'shards:.*accepted .*"
    ) as raised:
        prepare.prepare(config, open_store(str(tmp_path / "set")))
    assert "\n" not in str(raised.value)


def test_reviews_with_a_single_label_are_refused(config, tmp_path):
    lines = [json.dumps({"text": f"film {i}", "label": 1}) + "\n" for i in range(50)]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    config.data.source = f"files:{tmp_path}"
    with pytest.raises(UserError, match=r"all training reviews have the label .positive"):
        prepare.prepare(config, open_store(str(tmp_path / "set")))


def test_sets_of_many_labels_keep_their_names(config, tmp_path):
    stars = ["5", "3", "1"]
    lines = [json.dumps({"text": f"film {i}", "label": stars[i % 3]}) + "\n" for i in range(60)]
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    config.data.source = f"files:{tmp_path}"
    store = open_store(str(tmp_path / "set"))
    prepare.prepare(config, store)
    assert read_encoding(store).labels.names == ("1", "3", "5")
    labels = opened(store, "test").examples().labels
    assert labels.tolist() == [2 - i % 3 for i in range(60)]
    config.data.source = f"shards:{store.url}"
    assert load.make_encoding(config.data) == read_encoding(store)


def test_source_that_grows_during_preparation_is_refused(config, reviews, tmp_path, monkeypatch):
    folder = shutil.copytree(reviews, tmp_path / "reviews")
    config.data.source = f"files:{folder}"
    read = prepare.streaming.count_tokens_by_part

    def growing(*args):
        with (folder / "train.jsonl").open("a") as file:
            file.write('{"text": "one more", "label": 1}\n')
        return read(*args)

    monkeypatch.setattr(prepare.streaming, "count_tokens_by_part", growing)
    with pytest.raises(UserError, match="had 700 reviews and has 701 now"):
        prepare.prepare(config, open_store(str(tmp_path / "set")))


@pytest.mark.parametrize("kind", ["429", "503", "reset", "drop", "corrupt"])
def test_passing_fault_changes_nothing(cloud, prepared, config, tmp_path, kind):
    store = open_store(f"gs://bucket/{tmp_path.name}/set", retry_seconds=10.0)
    fault = cloud.inject(Fault(kind, operation="insert", name="train/", skip=2, seconds=0.05))
    prepare.prepare(config, store)
    cloud.clear()
    assert fault.hits
    assert contents(store) == contents(prepared)
