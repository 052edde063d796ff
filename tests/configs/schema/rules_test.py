"""Run with `python -m pytest tests/configs/validate_test.py`."""

import copy
import json

import pytest

from configs import default, imdb, sample
from configs.schema import rules
from storage.errors import UserError

# Field -> a value other than the default's that is accepted, at an edge where there is one.
ACCEPTED = {
    "seed": 2**31 - 1,
    "data.source": "files:reviews",
    "data.dir": "elsewhere",
    "data.train_split": "train[:10%]",
    "data.test_split": "train[90%:]",
    "data.validation_share": 0.999,
    "data.vocabulary_size": 3,
    "data.max_tokens": 1,
    "data.keep": "tail",
    "data.width_step": 1,
    "data.on_bad_text": "skip",
    "data.cache_dir": "",
    "data.cache_bytes": 0,
    "data.shard_reviews": 1,
    "model.embedding_size": 1,
    "model.layer_sizes": (1,),
    "model.bidirectional": True,
    "model.pooling": "concat",
    "model.dropout": 0.0,
    "model.precision": "bfloat16",
    "model.kernel": "xla",
    "train.epochs": 1,
    "train.batch_size": 1,
    "train.micro_batches": 64,
    "train.steps_per_call": 1,
    "train.label_smoothing": 0.999,
    "train.average_decay": 0.999,
    "train.log_every_steps": 1,
    "train.tensorboard_dir": "logs",
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1,
    "optimizer.warmup_steps": 100,
    "optimizer.schedule": "cosine",
    "optimizer.beta1": 0,
    "optimizer.beta2": 0.0,
    "optimizer.epsilon": 1e-30,
    "optimizer.weight_decay": 0.01,
    "optimizer.clip_norm": 0.0,
    "strategy.name": "mirrored",
    "strategy.virtual_devices": 8,
    "strategy.tpu": "grpc://10.0.0.2:8470",
    "checkpoint.every_steps": 0,
    "checkpoint.keep_last": 1,
    "checkpoint.retry_seconds": 1.0,
    "checkpoint.init_from": "runs/other",
    "evaluation.batch_size": 1,
}
# Field -> values that are not accepted, of the right type or nearly so.
REFUSED = {
    "seed": (-1, 2**31, 0.0, True),
    "data.source": ("", "imdb", "samples", "sample:", "tfds", "tfds:", "files:", "shards:"),
    "data.dir": (False,),
    "data.train_split": ("",),
    "data.test_split": ("",),
    "data.validation_share": (0.0, 1.0, -0.1, 8),
    "data.vocabulary_size": (2, 20_000.0),
    "data.max_tokens": (0, 512.0, True),
    "data.keep": ("", "middle", "Head"),
    "data.width_step": (0, -16),
    "data.on_bad_text": ("", "ignore", True),
    "data.cache_dir": (False,),
    "data.cache_bytes": (-1, 1.5),
    "data.shard_reviews": (0, -1),
    "model.embedding_size": (0, -1),
    "model.layer_sizes": ((), (128, 0), (128, -64), (128, 64.0), (128, "64"), ("64;import",), 128),
    "model.bidirectional": (1, "yes"),
    "model.pooling": ("", "average"),
    "model.dropout": (1.0, -0.1, float("nan")),
    "model.precision": ("float64", "bf16"),
    "model.kernel": ("", "cudnn"),
    "train.epochs": (0, -1, 2.5),
    "train.batch_size": (0, -64),
    "train.micro_batches": (0, 3, 128),
    "train.steps_per_call": (0,),
    "train.label_smoothing": (1.0, -0.1),
    "train.average_decay": (1.0, -0.1),
    "train.log_every_steps": (0,),
    "train.tensorboard_dir": ("", "checkpoints", "claims", "a/b", "..", "a.b", "logs\n", 1),
    "optimizer.name": ("sgd", "Adam"),
    "optimizer.learning_rate": (0.0, -1e-3, float("inf"), float("nan"), True),
    "optimizer.warmup_steps": (-1, 0.5),
    "optimizer.schedule": ("linear", ""),
    "optimizer.beta1": (1.0, -0.9),
    "optimizer.beta2": (1.0, -0.9),
    "optimizer.epsilon": (0.0, -1e-7),
    "optimizer.weight_decay": (-0.01, 0.01),  # the second without 'adamw'
    "optimizer.clip_norm": (-1.0, float("inf")),
    "strategy.name": ("", "horovod"),
    "strategy.virtual_devices": (-1,),
    "strategy.tpu": ("", 1),
    "checkpoint.every_steps": (-1,),
    "checkpoint.keep_last": (0,),
    "checkpoint.retry_seconds": (0.5, 3601.0, "1", float("nan")),
    "checkpoint.init_from": (False,),
    "evaluation.batch_size": (0,),
}
FREE = {
    *("strategy.name", "strategy.virtual_devices", "strategy.tpu", "evaluation.batch_size"),
    "model.kernel",
    *("checkpoint.every_steps", "checkpoint.keep_last", "checkpoint.init_from"),
    "checkpoint.retry_seconds",
    *("data.dir", "data.cache_dir", "data.cache_bytes", "data.shard_reviews", "data.test_split"),
    *("train.log_every_steps", "train.steps_per_call", "train.tensorboard_dir"),
}
FIELDS = list(rules.flatten(default.get_config()))


def changed(values, schedule="constant"):
    """The default config as a dictionary with some fields of other values."""
    config = default.get_config().to_dict()
    for field, value in {"optimizer.schedule": schedule, **values}.items():
        *sections, name = field.split(".")
        part = config
        for section in sections:
            part = part[section]
        part[name] = copy.copy(value)
    return config


def refusal(config):
    with pytest.raises(UserError) as raised:
        rules.check(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("config", [default, imdb, sample])
def test_packaged_config_is_accepted(config):
    rules.check(config.get_config())


def test_every_field_has_a_rule_and_every_rule_a_field():
    assert set(rules.RULES) == set(FIELDS)


def test_every_field_is_tested_here():
    assert set(ACCEPTED) == set(REFUSED) == set(FIELDS)
    assert set(FIELDS) >= FREE


@pytest.mark.parametrize(("field", "value"), ACCEPTED.items())
def test_value_is_accepted(field, value):
    values = {"optimizer.name": "adamw", field: value}
    rules.check(changed(values | {"train.micro_batches": 1} if "batch" in field else values))


def test_micro_batches_may_be_as_many_as_the_batch_has_reviews():
    rules.check(changed({"train.batch_size": 64, "train.micro_batches": 64}))


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]]
)
def test_value_is_refused_with_the_field_what_it_got_and_what_it_accepts(field, value):
    message = refusal(changed({field: value}))
    assert message.startswith(f"config.{field}: got {value!r}")
    assert "accepted is" in message


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, ["x"], b"x"], ids=repr)
def test_value_of_a_strange_type_is_refused(field, value):
    assert refusal(changed({field: value})).startswith(f"config.{field}: got {value!r}")


@pytest.mark.parametrize("field", ["data.source", "data.keep", "data.dir", "checkpoint.init_from"])
def test_number_for_a_text_is_refused(field):
    assert refusal(changed({field: 5})).startswith(f"config.{field}: got 5")


def test_missing_field_is_named():
    config = changed({})
    del config["train"]["epochs"]
    assert refusal(config).startswith("config.train.epochs: missing")


def test_unknown_field_is_named():
    assert refusal(changed({"train.epoch": 3})).startswith("config.train.epoch: no such field")


def test_weight_decay_names_the_optimizer_it_needs():
    assert "'adamw'" in refusal(changed({"optimizer.weight_decay": 0.01}))


def test_same_config_may_be_resumed():
    rules.refuse_changes(changed({}), default.get_config())


def test_tuples_that_became_lists_in_json_are_the_same():
    stored = json.loads(json.dumps(changed({})))
    assert stored["model"]["layer_sizes"] == [128, 64]
    rules.refuse_changes(stored, default.get_config())
    assert rules.decisive(stored) == rules.decisive(default.get_config())


@pytest.mark.parametrize("field", sorted(FREE))
def test_field_that_decides_no_number_may_change(field):
    rules.refuse_changes(changed({}), changed({field: ACCEPTED[field]}))


@pytest.mark.parametrize("field", sorted(set(FIELDS) - FREE - {"train.epochs"}))
def test_change_of_a_field_that_decides_the_numbers_is_refused(field):
    stored, config = changed({}), changed({field: ACCEPTED[field]})
    with pytest.raises(UserError, match=rf"^config\.{field}: the run has .*, got .*--workdir"):
        rules.refuse_changes(stored, config)
    assert rules.decisive(stored) != rules.decisive(config)


def test_refused_change_shows_both_values():
    with pytest.raises(UserError, match=r"the run has \[128, 64\], got \[128, 65\]"):
        rules.refuse_changes(changed({}), changed({"model.layer_sizes": (128, 65)}))


def test_every_refused_change_is_named():
    config = changed({"seed": 1, "model.dropout": 0.5, "strategy.name": "mirrored"})
    with pytest.raises(UserError) as raised:
        rules.refuse_changes(changed({}), config)
    message = str(raised.value)
    assert "config.seed: the run has 0, got 1" in message
    assert "config.model.dropout: the run has 0.2, got 0.5" in message
    assert "strategy" not in message


@pytest.mark.parametrize("epochs", [1, 20])
def test_epochs_may_change_while_the_learning_rate_is_constant(epochs):
    rules.refuse_changes(changed({}), changed({"train.epochs": epochs}))


@pytest.mark.parametrize("epochs", [1, 20])
def test_epochs_may_not_change_when_the_schedule_hangs_on_them(epochs):
    stored = changed({}, schedule="cosine")
    with pytest.raises(UserError, match=rf"config.train.epochs: the run has 10, got {epochs}"):
        rules.refuse_changes(stored, changed({"train.epochs": epochs}, schedule="cosine"))


@pytest.mark.parametrize(("old", "new"), [("constant", "cosine"), ("cosine", "constant")])
def test_change_of_the_schedule_blames_no_other_field(old, new):
    with pytest.raises(UserError, match=f"the run has '{old}', got '{new}'") as raised:
        rules.refuse_changes(changed({}, schedule=old), changed({}, schedule=new))
    assert "train.epochs" not in str(raised.value)
