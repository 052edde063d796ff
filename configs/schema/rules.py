"""The rules a config must keep. No TensorFlow: trainer and deploy both ask here.

validate.check(config)                    # UserError on the first field out of range
validate.check_replicas(config, 4)        # UserError unless 4 replicas divide its batches
validate.refuse_changes(stored, config)   # UserError when a resumed run would change its numbers
validate.decisive(config)                 # the fields that decide a run's numbers, as JSON text
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from storage.errors import UserError


def _integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _from(low: int, high: int) -> tuple[str, Callable]:
    return f"an integer from {low} to {high}", lambda value: _integer(value, low, high)


def _number(text: str, test: Callable[[float], bool]) -> tuple[str, Callable]:
    def accepts(value: Any) -> bool:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value) and test(value)

    return text, accepts


def _one_of(*names: str) -> tuple[str, Callable]:
    return "one of " + ", ".join(map(repr, names)), lambda value: value in names


_MILLION, _BILLION = 10**6, 10**9
# What float32 holds with room to spare: beyond, a number would quietly become 0 or infinite.
_POSITIVE = _number("a number from 1e-30 to 1e+30", lambda v: 1e-30 <= v <= 1e30)
_NOT_NEGATIVE = _number("a number from 0.0 to 1e+30", lambda v: 0 <= v <= 1e30)
_SHARE = _number("a number from 0.0 up to, not including, 1.0", lambda v: 0 <= v < 1)
_TEXT = ("a text", lambda value: isinstance(value, str))
FLAG = ("True or False", lambda value: isinstance(value, bool))

# Each field: what it accepts, in words and as a test.
RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": _from(0, 2**31 - 1),
    "data.source": (
        "'sample', 'tfds:NAME', 'files:PATH' or 'shards:URL'",
        lambda v: isinstance(v, str) and re.fullmatch(r"sample|(tfds|files|shards):.+", v),
    ),
    "data.dir": _TEXT,
    "data.train_split": ("the name of a split", lambda v: isinstance(v, str) and v),
    "data.test_split": ("the name of a split", lambda v: isinstance(v, str) and v),
    "data.validation_share": _number("a number between 0.0 and 1.0", lambda v: 0 < v < 1),
    "data.vocabulary_size": _from(3, _MILLION),
    "data.max_tokens": _from(1, _MILLION),
    "data.keep": _one_of("head", "tail", "head_tail"),
    "data.width_step": _from(1, _MILLION),
    "data.on_bad_text": _one_of("fail", "skip"),
    "data.cache_dir": _TEXT,
    "data.cache_bytes": _from(0, 10**18),
    "data.shard_reviews": _from(1, _BILLION),
    "model.embedding_size": _from(1, _MILLION),
    "model.layer_sizes": (
        "one positive integer or more, such as 128,64",
        lambda v: isinstance(v, (tuple, list)) and v and all(_integer(n, 1, _MILLION) for n in v),
    ),
    "model.bidirectional": FLAG,
    "model.pooling": _one_of("last", "max", "mean", "concat"),
    "model.dropout": _SHARE,
    "model.precision": _one_of("float32", "bfloat16", "float16"),
    "model.kernel": _one_of("auto", "keras", "xla"),
    "train.epochs": _from(1, _BILLION),
    "train.batch_size": _from(1, _MILLION),
    "train.micro_batches": _from(1, _MILLION),
    "train.steps_per_call": _from(1, _MILLION),
    "train.label_smoothing": _SHARE,
    "train.average_decay": _SHARE,
    "train.log_every_steps": _from(1, _BILLION),
    "train.tensorboard_dir": (
        "a name of letters, digits, '_' and '-', but not 'checkpoints' or 'claims'",
        lambda v: (
            isinstance(v, str)
            and re.fullmatch(r"(?!(?:checkpoints|claims)$)[A-Za-z0-9_-]{1,60}", v, re.ASCII)
        ),
    ),
    "optimizer.name": _one_of("adam", "adamw"),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.warmup_steps": _from(0, _BILLION),
    "optimizer.schedule": _one_of("constant", "cosine"),
    "optimizer.beta1": _SHARE,
    "optimizer.beta2": _SHARE,
    "optimizer.epsilon": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.clip_norm": _NOT_NEGATIVE,
    "strategy.name": _one_of("auto", "default", "one_device", "mirrored", "multi_worker", "tpu"),
    "strategy.tpu": ("a name or address", lambda v: isinstance(v, str) and v),
    "strategy.virtual_devices": _from(0, 64),
    "checkpoint.every_steps": _from(0, _BILLION),
    "checkpoint.keep_last": _from(1, _MILLION),
    "checkpoint.retry_seconds": _number("a number from 1.0 to 3600.0", lambda v: 1 <= v <= 3600),
    "checkpoint.init_from": _TEXT,
    "evaluation.batch_size": _from(1, _MILLION),
}

# What the config.json of an earlier version may lack: nothing that a resumed run or an evaluation
# takes from there.
_YOUNGER = ("train.tensorboard_dir",)

# What may differ between the starts of one run, since none of it decides the numbers.
_ANY = "any"
FREE = (
    "strategy.",
    "checkpoint.",
    "evaluation.",
    "data.dir",
    "data.test_split",
    "data.cache_dir",
    "data.cache_bytes",
    "data.shard_reviews",
    "model.kernel",
    "train.log_every_steps",
    "train.steps_per_call",
    "train.tensorboard_dir",
)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'train.epochs': 10, ...} of a nested config."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping) or hasattr(value, "items"):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def check(config: Mapping[str, Any], stored: bool = False) -> None:
    """Raises UserError that names the first field with a value that is not accepted.

    A `stored` config may be older than some of the fields.
    """
    flat = flatten(config)
    for field, (accepted, test) in RULES.items():
        if field not in flat:
            if stored and field in _YOUNGER:
                continue
            raise UserError(f"config.{field}: missing; begin with configs.default.get_config()")
        if not test(flat[field]):
            raise UserError(f"config.{field}: got {flat[field]!r}, accepted is {accepted}")
    unknown = sorted(flat.keys() - RULES.keys())
    if unknown:
        raise UserError(f"config.{unknown[0]}: no such field; configs/default.py holds them all")
    if flat["train.batch_size"] % flat["train.micro_batches"]:
        raise UserError(
            f"config.train.micro_batches: got {flat['train.micro_batches']}, accepted is a divisor "
            f"of config.train.batch_size, {flat['train.batch_size']}"
        )
    if flat["strategy.virtual_devices"] and flat["strategy.name"] not in ("auto", "mirrored"):
        raise UserError(
            f"config.strategy.virtual_devices: got {flat['strategy.virtual_devices']} with "
            f"config.strategy.name={flat['strategy.name']!r}, which does not split the CPU; "
            "accepted is 0, or take 'mirrored'"
        )
    if flat["optimizer.weight_decay"] and flat["optimizer.name"] != "adamw":
        raise UserError(
            f"config.optimizer.weight_decay: got {flat['optimizer.weight_decay']} with "
            "config.optimizer.name='adam'; accepted is 0.0, or take 'adamw'"
        )


def check_replicas(config: ml_collections.ConfigDict, replicas: int) -> None:
    """Raises UserError unless so many replicas divide the batches of a whole config."""
    train, evaluation = config.train, config.evaluation
    for field, size, unit in (
        ("train.batch_size", train.batch_size, replicas * train.micro_batches),
        ("evaluation.batch_size", evaluation.batch_size, replicas),
    ):
        if size % unit:
            raise UserError(
                f"config.{field}: got {size} on {replicas} replicas, accepted is a multiple of "
                f"{unit}"
            )


def decisive(config: Mapping[str, Any]) -> str:
    """JSON text of the fields that decide a run's numbers; the same text, the same run."""
    flat = json.loads(json.dumps(flatten(config)))
    if flat["optimizer.schedule"] == "constant":
        flat["train.epochs"] = _ANY  # only the schedule hangs on where the run ends
    return json.dumps(
        {k: v for k, v in sorted(flat.items()) if not k.startswith(FREE)}, sort_keys=True
    )


def refuse_changes(stored: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises UserError naming each decisive field in which a workdir's config differs."""
    refuse_differences(decisive(stored), config)


def refuse_differences(stored: str, config: Mapping[str, Any]) -> None:
    """The same for what `decisive` said of an earlier start."""
    old, new = json.loads(stored), json.loads(decisive(config))
    if _ANY in (old["train.epochs"], new["train.epochs"]):
        old["train.epochs"] = new["train.epochs"] = _ANY
    changes = [
        f"config.{field}: the run has {old.get(field)!r}, got {new.get(field)!r}"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]
    if changes:
        raise UserError(
            "; ".join(changes)
            + "; these decide the numbers: give the run's own values, or another --workdir"
        )
