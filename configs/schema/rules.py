"""What each field of a config accepts. Trainer and deploy both ask here, without TensorFlow.

rules.check(config)                 # UserError for the first field with a value out of range
rules.check_replicas(config, 4)     # UserError unless 4 replicas can share its batches evenly
rules.check_widths(config)          # UserError for more widths than a TPU should compile
rules.RULES["train.epochs"].accepted    # "an integer from 1 to 1000000000"

A new field needs a line in RULES, one in configs/default.py, and one in SINCE of
configs/schema/resume.py. What fields allow together is in `combinations`.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import ml_collections

from configs.schema import combinations
from input_pipeline.sources import registry
from storage.errors import UserError


class Rule(NamedTuple):
    """What a field accepts."""

    accepted: str  # in words, to follow "accepted is"
    allows: Callable[[Any], bool]


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _integer(low: int, high: int) -> Rule:
    return Rule(f"an integer from {low} to {high}", lambda value: _is_integer(value, low, high))


def _number(accepted: str, is_in_range: Callable[[float], bool]) -> Rule:
    def allows(value: Any) -> bool:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and math.isfinite(value) and is_in_range(value)

    return Rule(accepted, allows)


def _one_of(*names: str) -> Rule:
    return Rule("one of " + ", ".join(map(repr, names)), lambda value: value in names)


def _are_layer_sizes(value: Any) -> bool:
    sequence = isinstance(value, (tuple, list)) and len(value) > 0
    return sequence and all(_is_integer(size, 1, _MILLION) for size in value)


def _is_tensorboard_dir(value: Any) -> bool:
    if not isinstance(value, str) or value in _FOLDERS:
        return False
    return re.fullmatch("[A-Za-z0-9_-]{1,60}", value) is not None


def _is_number_of_buckets(value: Any) -> bool:
    return _is_integer(value, 0, 2**26) and combinations.is_power_of_two(value)


def _are_writers(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    names = value.split(",") if value else []
    return set(names) <= set(_WRITERS) and len(set(names)) == len(names)


def _are_profile_steps(value: Any) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) not in (0, 2):
        return False
    return all(_is_integer(step, 1, _BILLION) for step in value) and list(value) == sorted(value)


_WRITERS = ("tensorboard", "wandb", "mlflow")
_FOLDERS = ("checkpoints", "claims", "explanations", "export", "tracking")  # others of a run
_MILLION, _BILLION = 10**6, 10**9
_LONGEST_SHOWN = 80  # characters
_MAX_WIDTHS = 8
# Within the range of float32, with a margin: a number outside would become 0 or infinite silently.
_POSITIVE = _number("a number from 1e-30 to 1e+30", lambda v: 1e-30 <= v <= 1e30)
_NOT_NEGATIVE = _number("a number from 0.0 to 1e+30", lambda v: 0 <= v <= 1e30)
_FRACTION = _number("a number from 0.0 up to, not including, 1.0", lambda v: 0 <= v < 1)
_TEXT = Rule("a text", lambda value: isinstance(value, str))
_NAME = Rule("a name", lambda value: isinstance(value, str) and value != "")
_SPLIT = Rule("the name of a split", lambda value: isinstance(value, str) and value != "")
FLAG = Rule("True or False", lambda value: isinstance(value, bool))

# The full name of each field, and its rule.
RULES: dict[str, Rule] = {
    "seed": _integer(0, 2**31 - 1),
    "data.source": Rule(registry.ACCEPTED, registry.is_source),
    "data.dir": _TEXT,
    "data.train_split": _SPLIT,
    "data.test_split": _SPLIT,
    "data.unlabelled_split": _TEXT,
    "data.unlabelled_batch_size": _integer(0, _MILLION),
    "data.validation_share": _number("a number between 0.0 and 1.0", lambda v: 0 < v < 1),
    "data.vocabulary_size": _integer(3, _MILLION),
    "data.punctuation": FLAG,
    "data.max_tokens": _integer(1, _MILLION),
    "data.keep": _one_of("head", "tail", "head_tail"),
    "data.width_step": _integer(1, _MILLION),
    "data.text_column": _NAME,
    "data.label_column": _NAME,
    "data.positive_label": _TEXT,
    "data.on_bad_text": _one_of("fail", "skip"),
    "data.cache_dir": _TEXT,
    "data.cache_bytes": _integer(0, 10**18),
    "data.shard_reviews": _integer(1, _BILLION),
    "model.embedding_size": _integer(1, _MILLION),
    "model.vectors": _TEXT,
    "model.layer_sizes": Rule("one positive integer or more, such as 128,64", _are_layer_sizes),
    "model.bidirectional": FLAG,
    "model.pooling": _one_of("last", "max", "mean", "concat", "attention"),
    "model.segment_tokens": _integer(0, _MILLION),
    "model.segment_overlap": _integer(0, _MILLION),
    "model.dropout": _FRACTION,
    "model.word_dropout": _FRACTION,
    "model.embedding_dropout": _FRACTION,
    "model.recurrent_dropout": _FRACTION,
    "model.wide_buckets": Rule("0 or a power of two up to 2**26", _is_number_of_buckets),
    "model.wide_ngrams": _integer(1, 5),
    "model.wide_dropout": _FRACTION,
    "model.precision": _one_of("float32", "bfloat16", "float16"),
    "model.kernel": _one_of("auto", "keras", "cpu", "xla"),
    "objective.name": _one_of("classification", "language_model"),
    "objective.sampled_words": _integer(0, _MILLION),
    "objective.terms.adversarial": _NOT_NEGATIVE,
    "objective.terms.virtual_adversarial": _NOT_NEGATIVE,
    "objective.terms.entropy": _NOT_NEGATIVE,
    "objective.terms.distant": _NOT_NEGATIVE,
    "objective.distance": _integer(1, _MILLION),
    "objective.perturbation": _POSITIVE,
    "objective.terms_after_epochs": _integer(0, _BILLION),
    "train.epochs": _integer(1, _BILLION),
    "train.patience": _integer(0, _BILLION),
    "train.batch_size": _integer(1, _MILLION),
    "train.slices": _integer(0, _MILLION),
    "train.steps_per_call": _integer(1, _MILLION),
    "train.label_smoothing": _FRACTION,
    "train.average_decay": _FRACTION,
    "train.log_every_steps": _integer(1, _BILLION),
    "train.writers": Rule(f"any of {', '.join(_WRITERS)} with commas between, or ''", _are_writers),
    "train.tensorboard_dir": Rule(
        f"a name of letters, digits, '_' and '-', other than {', '.join(map(repr, _FOLDERS))}",
        _is_tensorboard_dir,
    ),
    "train.histograms": FLAG,
    "train.profile_steps": Rule("two steps, such as 100,110, or ()", _are_profile_steps),
    "optimizer.name": _one_of("adam", "adamw"),
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.warmup_steps": _integer(0, _BILLION),
    "optimizer.schedule": _one_of("constant", "cosine"),
    "optimizer.layer_decay": _number("a number from 0.01 to 1.0", lambda v: 0.01 <= v <= 1),
    "optimizer.unfreeze_steps": _integer(0, _BILLION),
    "optimizer.beta1": _FRACTION,
    "optimizer.beta2": _FRACTION,
    "optimizer.epsilon": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.clip_norm": _NOT_NEGATIVE,
    "strategy.name": _one_of("auto", "default", "one_device", "mirrored", "multi_worker", "tpu"),
    "strategy.tpu": Rule("a name or address", lambda v: isinstance(v, str) and v != ""),
    "strategy.virtual_devices": _integer(0, 64),
    "strategy.accelerators": _integer(0, 100_000),
    "strategy.reduction": _one_of("tree", "ring"),
    "strategy.intra_op_threads": _integer(0, 1024),
    "strategy.inter_op_threads": _integer(0, 1024),
    "strategy.connect_seconds": _number("a number from 1.0 to 86400.0", lambda v: 1 <= v <= 86400),
    "checkpoint.every_steps": _integer(0, _BILLION),
    "checkpoint.keep_last": _integer(1, _MILLION),
    "checkpoint.retry_seconds": _number("a number from 1.0 to 3600.0", lambda v: 1 <= v <= 3600),
    "checkpoint.init_from": _TEXT,
    "evaluation.batch_size": _integer(1, _MILLION),
    "evaluation.report": FLAG,
    "serving.max_body_bytes": _integer(1, _BILLION),
    "serving.max_texts": _integer(1, _MILLION),
    "serving.max_text_bytes": _integer(1, _BILLION),
    "serving.max_requests": _integer(1, 100_000),
    "serving.timeout_seconds": _number("a number from 0.1 to 3600.0", lambda v: 0.1 <= v <= 3600),
    "serving.batch_size": _integer(1, _MILLION),
    "serving.batch_milliseconds": _number("a number from 0.0 to 1000.0", lambda v: 0 <= v <= 1000),
}


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the fields of a nested config by their full names, such as {'train.epochs': 10}."""
    fields = {}
    for name, value in config.items():
        if isinstance(value, (Mapping, ml_collections.ConfigDict)):
            fields.update(flatten(value, f"{prefix}{name}."))
        else:
            fields[prefix + name] = value
    return fields


def check(config: Mapping[str, Any], trains: bool = True) -> None:
    """Raises UserError for the first field that is missing, unknown or out of range.

    `trains` says that the config is for a training to come: what it would not learn from is refused
    too.
    """
    fields = flatten(config)
    for field, rule in RULES.items():
        if field not in fields:
            raise UserError(f"config.{field}: missing; begin with configs.default.get_config()")
        if not rule.allows(fields[field]):
            raise UserError(
                f"config.{field}: got {_shown(fields[field])}, accepted is {rule.accepted}"
            )
    unknown = sorted(fields.keys() - RULES.keys())
    if unknown:
        raise UserError(f"config.{unknown[0]}: no such field; configs/default.py holds them all")
    combinations.check(fields)
    if trains:
        combinations.check_training(fields)


def static_widths(data: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns the widths, in tokens, of all batches that the `data` part of a config allows."""
    step = data["width_step"]
    return tuple(range(step, data["max_tokens"] + step, step))


def check_widths(config: Mapping[str, Any]) -> None:
    """Raises UserError when a complete config has more widths than a TPU should compile."""
    widths = len(static_widths(config["data"]))
    if widths > _MAX_WIDTHS:
        raise UserError(
            f"config.data.width_step: got {config['data']['width_step']}, which makes {widths} "
            "widths; a TPU compiles a program for each, so accepted are steps that make up to "
            f"{_MAX_WIDTHS}"
        )


def _shown(value: Any) -> str:
    """Returns a value for a message, cut when it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def check_replicas(config: ml_collections.ConfigDict, replicas: int) -> None:
    """Raises UserError unless `replicas` can share the batches and slices of a complete config."""
    shared = (
        "train.batch_size",
        "train.slices",
        "data.unlabelled_batch_size",
        "evaluation.batch_size",
    )
    for field in shared:
        section, name = field.split(".")
        if (size := config[section][name]) % replicas:
            raise UserError(
                f"config.{field}: got {size} on {replicas} replicas, accepted is a multiple of "
                f"{replicas}"
            )
