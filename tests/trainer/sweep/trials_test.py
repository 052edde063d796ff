"""Trials: their names, their commands, and the plan that keeps them."""

import re

import pytest

from configs import default
from storage.errors import UserError
from storage.store import open_store
from trainer.sweep import trials
from trainer.sweep.trials import Trial


@pytest.fixture
def config():
    return default.get_config()


def test_names_hold_number_and_values():
    points = [{"model.dropout": 0.2, "model.layer_sizes": (128, 64)}, {"model.dropout": 1e-05}]
    points[1]["model.layer_sizes"] = ()
    names = [trial.name for trial in trials.named(points)]
    assert names == ["0000-dropout=0.2-layer_sizes=128x64", "0001-dropout=1e-05-layer_sizes=_"]


def test_fields_that_end_alike_have_their_whole_names():
    short = trials.short_fields(["optimizer.name", "objective.name", "seed"])
    assert list(short.values()) == ["optimizer.name", "objective.name", "seed"]


@pytest.mark.parametrize("value", ["gs://b/a b?*#[", "../../x", "ä" * 300, "a\nb", "C:\\x", ""])
def test_names_are_safe_in_a_folder_and_in_a_bucket(value):
    (trial,) = trials.named([{"data.source": value}])
    assert re.fullmatch(r"0000-source=[A-Za-z0-9._+-]*", trial.name)
    assert len(trial.name) <= 100
    assert not trial.name.endswith(".")


@pytest.mark.parametrize(
    ("source", "train", "expected"),
    [
        ("tfds:imdb_reviews", "train", "train[:1%]"),
        ("tfds:imdb_reviews", "train[:10%]", "train[:10%]"),
        ("shards:gs://b/s", "train", "validation"),
        ("files:reviews", "train", "train"),
        ("sample", "train", "train"),
    ],
)
def test_no_trial_is_given_the_test_split(config, source, train, expected):
    config.data.update(source=source, train_split=train)
    command = trials.command(Trial("0000", {"seed": 1}), "runs/s", config, ["--config=a.py"])
    assert f"--config.data.test_split={expected}" in command
    assert "--config.evaluation.report=False" in command


def test_command_has_the_given_arguments_and_the_trials_own(config):
    given = ["--config=a.py", "--config.data.test_split=test", "--config.train.epochs=3"]
    trial = Trial("0001-x", {"model.layer_sizes": (8, 4), "model.pooling": "max"})
    _, *command = trials.command(trial, "gs://b/s/", config, given)
    assert command == [
        *("-m", "trainer", "--config=a.py", "--config.train.epochs=3"),
        *("--config.data.test_split=train", "--config.evaluation.report=False"),
        *("--config.model.layer_sizes=(8, 4)", "--config.model.pooling=max"),
        "--workdir=gs://b/s/trials/0001-x",
    ]


def test_command_of_a_sweep_whose_name_has_a_comma(config):
    *_, workdir = trials.command(Trial("0000", {"seed": 1}), "runs/a,b", config, [])
    assert workdir == r"--workdir=runs/a\,b/trials/0000"


@pytest.mark.parametrize(
    ("of_config", "of_trial", "expected"), [(0, None, 2), (3, None, None), (0, 4, 4)]
)
def test_threads_are_those_of_config_and_trial_if_they_say(config, of_config, of_trial, expected):
    field = "strategy.inter_op_threads"
    config.strategy.inter_op_threads = of_config
    values = {field: of_trial} if of_trial else {}
    command = trials.command(Trial("0000", values), "runs/s", config, [], threads=2)
    found = [word.partition("=")[2] for word in command if field in word]
    assert found == ([] if expected is None else [str(expected)])


POINTS = [{"model.layer_sizes": (8,), "seed": seed} for seed in range(3)]


def test_plan_comes_back_with_its_tuples(store, config):
    planned = trials.named(POINTS)
    trials.keep(store, planned, config)
    trials.keep(store, planned, config)
    assert trials.read(store) == planned


def test_plan_may_grow_but_not_change(store, config):
    planned = trials.named(POINTS)
    trials.keep(store, planned[:2], config)
    trials.keep(store, planned, config)
    assert trials.read(store) == planned
    with pytest.raises(UserError, match=r"^--grid: the sweep in .* has 3 trial\(s\), among"):
        trials.keep(store, planned[:2], config)
    config.train.batch_size = 32
    with pytest.raises(UserError, match=r"config\.train\.batch_size: the run has 64, got 32"):
        trials.keep(store, planned, config)
    assert trials.read(store) == planned


def test_trials_that_come_later_are_numbered_after_those_that_are_kept(store, config):
    """As when a seed joins, which changes the order of the grid."""
    trials.keep(store, trials.named(POINTS[1:]), config)
    planned = trials.keep(store, trials.named(POINTS), config)
    assert planned == trials.read(store)
    assert [trial.values["seed"] for trial in planned] == [1, 2, 0]
    assert [trial.name[:4] for trial in planned] == ["0000", "0001", "0002"]
    assert trials.keep(store, trials.named(POINTS[::-1]), config) == planned


def test_objectives_are_not_ranked_against_each_other(config):
    objectives = ("classification", "language_model")
    planned = trials.named([{"objective.name": name} for name in objectives])
    with pytest.raises(UserError, match=r"config\.objective\.name: got several, whose scores"):
        trials.check(planned, config)
    trials.check(planned[1:], config)


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"trials": [{"name": "a"}]}', b'{"trials": 3}'])
def test_damaged_plan_is_one_line(tmp_path, damage):
    store = open_store(str(tmp_path))
    store.write(trials.PLAN, damage)
    with pytest.raises(UserError, match=r"plan\.json can't be read"):
        trials.read(store)


def test_workdir_without_a_sweep_is_one_line(tmp_path):
    with pytest.raises(UserError, match="holds no sweep"):
        trials.read(open_store(str(tmp_path / "none")))


def test_workdir_of_a_run_is_refused(tmp_path, config):
    store = open_store(str(tmp_path))
    store.write("config.json", b"{}")
    with pytest.raises(UserError, match="holds a run"):
        trials.keep(store, trials.named(POINTS), config)


def test_fields_that_do_not_fit_together_name_the_trial(config):
    planned = trials.named([{"optimizer.weight_decay": 0.0}, {"optimizer.weight_decay": 0.1}])
    with pytest.raises(UserError, match=r"trial 0001-weight_decay=0\.1: config\.optimizer"):
        trials.check(planned, config)
