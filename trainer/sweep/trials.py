"""The trials of a sweep: each is a run with its own values, a name and a workdir.

    trials = named(points)
    trials[0].name                  # "0000-dropout=0.2-layer_sizes=128x64"
    trials = keep(store, trials, config)    # after those that the sweep in the store has already
    read(store)                     # the trials of a sweep that was started
    command(trials[0], "runs/sweep", config, given)     # python -m trainer ...

What distinguishes the trials is kept in plan.json, so that no two sweeps mix in one workdir.
"""

import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import ml_collections

from configs.schema import resume, rules
from configs.schema.stored import CONFIG_FILE
from storage import json_object
from storage.errors import UserError
from storage.store import Store
from storage.url_list import quoted

PLAN = "plan.json"
MOST_TRIALS = 10_000
_DIGITS = 4
_LONGEST_NAME = 100  # characters
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


class Trial(NamedTuple):
    """A run of the sweep."""

    name: str  # of its folder; begins with its number
    values: Mapping[str, Any]  # of the fields that differ between the trials

    @property
    def folder(self) -> str:
        """Returns the name of its workdir in that of the sweep."""
        return f"trials/{self.name}"


def named(points: Sequence[Mapping[str, Any]], first: int = 0) -> list[Trial]:
    """Returns a trial for each point, numbered from `first` on."""
    short = short_fields(points[0])
    return [
        Trial(_name(number, {short[field]: value for field, value in point.items()}), point)
        for number, point in enumerate(points, first)
    ]


def short_fields(fields: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Returns the last part of each field's name, the whole name where two end alike."""
    ends = [field.rpartition(".")[2] for field in fields]
    return {
        field: end if ends.count(end) == 1 else field
        for field, end in zip(fields, ends, strict=True)
    }


def in_words(value: Any) -> str:
    """Returns a value of a field as a table shows it."""
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "()"
    return str(value)


def check(trials: Sequence[Trial], config: ml_collections.ConfigDict) -> None:
    """Raises UserError for trials that can't be compared, or whose fields do not fit together."""
    fields = rules.flatten(config)
    if len({trial.values.get("objective.name") for trial in trials}) > 1:
        raise UserError(
            "--grid: config.objective.name: got several, whose scores can't be compared; give a "
            "sweep for each"
        )
    for trial in trials:
        try:
            rules.check({**fields, **trial.values})
        except UserError as error:
            raise UserError(f"--grid: trial {trial.name}: {error}") from error


def forced(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the fields that every trial has, whatever the config says.

    Trials never see the test reviews: they would be chosen by what is to judge the chosen one. In
    the test's place a run scores the smallest split that is known to hold none of them.
    """
    data = config.data
    kind, _, _ = data.source.partition(":")
    split = data.train_split
    if kind == "shards":
        split = "validation"  # of the same preparation
    elif kind == "tfds" and re.fullmatch(r"\w+", split):
        split += "[:1%]"
    return {"data.test_split": split, "evaluation.report": False}


def command(
    trial: Trial,
    url: str,
    config: ml_collections.ConfigDict,
    given: Sequence[str],
    threads: int = 0,
) -> list[str]:
    """Returns the command that trains a trial of the sweep in the workdir `url`.

    `given` are the arguments of the sweep that make up its config. `threads` of TensorFlow run
    operations side by side; 0 leaves that to the config.
    """
    own = {**forced(config), **trial.values}
    if threads and not config.strategy.inter_op_threads:
        own.setdefault("strategy.inter_op_threads", threads)
    kept = [argument for argument in given if field_of(argument) not in own]
    values = [f"--config.{field}={value}" for field, value in own.items()]
    return [sys.executable, "-m", "trainer", *kept, *values, workdir_flag(trial, url)]


def workdir_flag(trial: Trial, url: str) -> str:
    """Returns the flag of the trainer that names the workdir of a trial of the sweep at `url`."""
    return f"--workdir={quoted(url.rstrip('/'))}/{trial.folder}"


def field_of(argument: str) -> str:
    """Returns the field that an argument such as --config.seed=1 overrides, "" for another one."""
    match = re.match(r"--?config\.([^=]+)=", argument)
    return match[1] if match else ""


def continued(
    store: Store, trials: Sequence[Trial], config: ml_collections.ConfigDict
) -> list[Trial]:
    """Returns the trials of the sweep in the store, then those of `trials` that it lacks.

    Raises UserError when it has a trial that is not among them, when its config is another, or when
    the store holds a single run.
    """
    _require_no_run(store)
    if not store.exists(PLAN):
        return list(trials)
    return list(itertools.chain(*_stored_and_new(store, trials, config)))


def keep(store: Store, trials: Sequence[Trial], config: ml_collections.ConfigDict) -> list[Trial]:
    """Keeps the trials of `continued` in the store, and returns them."""
    _require_no_run(store)
    try:
        store.create(PLAN, _plan(trials, config))
        return list(trials)
    except FileExistsError:
        stored, new = _stored_and_new(store, trials, config)
    if new:
        store.write(PLAN, _plan([*stored, *new], config))
    return [*stored, *new]


def _require_no_run(store: Store) -> None:
    if store.exists(CONFIG_FILE):
        raise UserError(f"--workdir: {store.url} holds a run; give a separate folder for the sweep")


def _stored_and_new(
    store: Store, trials: Sequence[Trial], config: ml_collections.ConfigDict
) -> tuple[list[Trial], list[Trial]]:
    """Returns the trials that the store has, and those of `trials` that it lacks; see `continued`.

    The new ones are numbered after the others.
    """
    stored, decisive = _read(store)
    known, asked = ({_key(trial) for trial in group} for group in (stored, trials))
    for trial in stored:
        if _key(trial) not in asked:
            raise UserError(
                f"--grid: the sweep in {store.url} has {len(stored)} trial(s), among them "
                f"{trial.name}, which is not one of these {len(trials)}; give its --grid, --seeds "
                "and --trials, which may have more values, or another --workdir"
            )
    resume.require_same_fields(decisive, config)
    points = [trial.values for trial in trials if _key(trial) not in known]
    return stored, named(points, first=len(stored)) if points else []


def _key(trial: Trial) -> str:
    """Returns a text that trials of the same values share."""
    return json.dumps(trial.values, sort_keys=True)


def _plan(trials: Sequence[Trial], config: ml_collections.ConfigDict) -> bytes:
    plan = {
        "trials": [{"name": trial.name, "values": trial.values} for trial in trials],
        "config": resume.decisive_fields(config),
    }
    return (json.dumps(plan, indent=1) + "\n").encode()


def read(store: Store) -> list[Trial]:
    """Returns the trials of the sweep in a store; UserError when there is none."""
    return _read(store)[0]


def _read(store: Store) -> tuple[list[Trial], str]:
    try:
        plan = json_object.parse(store.read(PLAN))
        trials = [
            Trial(str(trial["name"]), {f: _tuple(v) for f, v in trial["values"].items()})
            for trial in plan["trials"]
        ]
        return trials, str(plan["config"])
    except FileNotFoundError as error:
        raise UserError(
            f"--workdir: {store.url} holds no sweep ({PLAN} is missing); give --config and --grid, "
            "which begin one"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--workdir: {store.url}/{PLAN} can't be read ({error}); delete it and give the "
            "command of the sweep, which writes it again"
        ) from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _name(number: int, values: Mapping[str, Any]) -> str:
    """Returns a name that a folder and a bucket take, and a shell without quotes."""
    words = [f"{field}={_UNSAFE.sub('_', in_words(value))}" for field, value in values.items()]
    return "-".join([f"{number:0{_DIGITS}}", *words])[:_LONGEST_NAME].rstrip(".")
