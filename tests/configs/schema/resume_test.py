"""Run with `python -m pytest tests/configs/schema/resume_test.py`."""

import json

import pytest

from configs import default
from configs.schema import resume, rules
from storage.errors import UserError
from tests.configs.schema.field_values import ACCEPTED, changed

FREE = {
    *("strategy.name", "strategy.virtual_devices", "strategy.tpu", "evaluation.batch_size"),
    *("strategy.accelerators", "strategy.reduction"),
    *("strategy.intra_op_threads", "strategy.inter_op_threads"),
    "model.kernel",
    *("checkpoint.every_steps", "checkpoint.keep_last", "checkpoint.retry_seconds"),
    *("data.text_column", "data.label_column", "strategy.connect_seconds", "train.patience"),
    *("data.dir", "data.cache_dir", "data.cache_bytes", "data.shard_reviews", "data.test_split"),
    *("train.log_every_steps", "train.slices", "train.steps_per_call", "train.tensorboard_dir"),
    *("train.writers", "train.histograms", "train.profile_steps", "evaluation.report"),
    *(f"serving.{field}" for field in default.get_config().serving),
}
FIELDS = list(rules.flatten(default.get_config()))


# The decisive fields of the default config as the first version wrote them into a manifest.
FIRST_DECISIVE_FIELDS = {
    "data.keep": "head_tail",
    "data.max_tokens": 512,
    "data.on_bad_text": "fail",
    "data.source": "sample",
    "data.train_split": "train",
    "data.validation_share": 0.08,
    "data.vocabulary_size": 20_000,
    "data.width_step": 16,
    "model.bidirectional": False,
    "model.dropout": 0.2,
    "model.embedding_size": 128,
    "model.layer_sizes": [128, 64],
    "model.pooling": "last",
    "model.precision": "float32",
    "optimizer.beta1": 0.9,
    "optimizer.beta2": 0.999,
    "optimizer.clip_norm": 1.0,
    "optimizer.epsilon": 1e-07,
    "optimizer.learning_rate": 0.001,
    "optimizer.name": "adam",
    "optimizer.schedule": "constant",
    "optimizer.warmup_steps": 0,
    "optimizer.weight_decay": 0.0,
    "seed": 0,
    "train.average_decay": 0.0,
    "train.batch_size": 64,
    "train.epochs": "any",
    "train.label_smoothing": 0.0,
    "train.micro_batches": 1,
}


def without(config, field):
    """Returns a config as a version that lacked the field would have stored it."""
    *sections, name = field.split(".")
    section = config
    for part in sections:
        section = section[part]
    del section[name]
    return config


def with_field(field, value):
    """Returns the default config with one more field."""
    config = changed({})
    section, _, name = field.partition(".")
    config.setdefault(section, {})[name] = value
    return config


def decisive_text_without(field):
    """Returns the text of a manifest that was written before the field existed."""
    text = resume.decisive_fields(changed({}))
    assert field not in json.loads(text)
    return text


def test_same_config_may_be_resumed():
    resume.require_same_run(changed({}), default.get_config())


def test_tuples_that_became_lists_in_json_are_the_same():
    stored = json.loads(json.dumps(changed({})))
    assert stored["model"]["layer_sizes"] == [128, 64]
    resume.require_same_run(stored, default.get_config())
    assert resume.decisive_fields(stored) == resume.decisive_fields(default.get_config())


@pytest.mark.parametrize("field", sorted(FREE))
def test_field_that_decides_no_number_may_change(field):
    resume.require_same_run(changed({}), changed({field: ACCEPTED[field]}))


@pytest.mark.parametrize("field", sorted(set(FIELDS) - FREE - {"train.epochs"}))
def test_change_of_a_field_that_decides_the_numbers_is_refused(field):
    stored, config = changed({}), changed({field: ACCEPTED[field]})
    with pytest.raises(UserError, match=rf"^config\.{field}: the run has .*, got .*--workdir"):
        resume.require_same_run(stored, config)
    assert resume.decisive_fields(stored) != resume.decisive_fields(config)


def test_refused_change_shows_both_values():
    with pytest.raises(UserError, match=r"the run has \[128, 64\], got \[128, 65\]"):
        resume.require_same_run(changed({}), changed({"model.layer_sizes": (128, 65)}))


def test_every_refused_change_is_named():
    config = changed({"seed": 1, "model.dropout": 0.5, "strategy.name": "mirrored"})
    with pytest.raises(UserError) as raised:
        resume.require_same_run(changed({}), config)
    message = str(raised.value)
    assert "config.seed: the run has 0, got 1" in message
    assert "config.model.dropout: the run has 0.2, got 0.5" in message
    assert "strategy" not in message


@pytest.mark.parametrize("epochs", [1, 20])
def test_epochs_may_change_while_the_learning_rate_is_constant(epochs):
    resume.require_same_run(changed({}), changed({"train.epochs": epochs}))


@pytest.mark.parametrize("epochs", [1, 20])
def test_epochs_may_not_change_when_the_schedule_depends_on_them(epochs):
    stored = changed({}, schedule="cosine")
    with pytest.raises(UserError, match=rf"epochs: the run has 10, got {epochs}; .*cosine"):
        resume.require_same_run(stored, changed({"train.epochs": epochs}, schedule="cosine"))


@pytest.mark.parametrize(("old", "new"), [("constant", "cosine"), ("cosine", "constant")])
def test_change_of_the_schedule_blames_no_other_field(old, new):
    with pytest.raises(UserError, match=f"the run has '{old}', got '{new}'") as raised:
        resume.require_same_run(changed({}, schedule=old), changed({}, schedule=new))
    assert "train.epochs" not in str(raised.value)


@pytest.mark.parametrize("field", ["checkpoint.init_from", "model.vectors"])
def test_manifest_without_the_origin_of_the_weights_fits_any(field):
    fields = json.loads(resume.decisive_fields(changed({})))
    del fields[field]
    resume.require_same_fields(json.dumps(fields), changed({field: ACCEPTED[field]}))


def test_every_section_and_field_that_may_change_exists():
    sections = {field.partition(".")[0] for field in FIELDS}
    assert sections | set(FIELDS) >= resume.FREE


def test_each_value_since_a_field_exists_is_one_that_the_field_accepts():
    for field, value in resume.SINCE.items():
        assert rules.RULES[field].allows(value), field


@pytest.mark.parametrize("field", resume.SINCE)
def test_config_older_than_a_field_is_completed(field):
    old = without(changed({}), field)
    complete = resume.completed(old)
    rules.check(complete)
    assert rules.flatten(complete)[field] == resume.SINCE[field]
    assert field not in rules.flatten(old)  # the argument is unchanged


def test_config_that_has_a_field_keeps_its_value():
    config = changed({"train.tensorboard_dir": "logs"})
    assert resume.completed(config) == config


@pytest.mark.parametrize("config", [{}, {"train": 5}, {"train": [], "seed": 0}], ids=repr)
def test_damaged_config_is_refused_after_completing(config):
    with pytest.raises(UserError, match="missing"):
        rules.check(resume.completed(config))


# A field of an existing section, one of a section that is new as well, and a sequence, which JSON
# keeps as a list.
@pytest.fixture(params=[("train.noise", 0.0, 0.5), ("reading.name", "old", "new"),
                        ("model.extra_sizes", (), (8,))])  # fmt: skip
def new_field(request, monkeypatch):
    """Adds a decisive field; returns its name, its value since, and another one."""
    field, since, other = request.param
    monkeypatch.setitem(resume.SINCE, field, since)
    return field, since, other


def test_run_older_than_a_decisive_field_resumes_as_it_was(new_field):
    field, since, _ = new_field
    config, text_of_then = with_field(field, since), decisive_text_without(field)
    resume.require_same_fields(text_of_then, config)
    resume.require_same_run(resume.completed(json.loads(json.dumps(changed({})))), config)


def test_run_older_than_a_decisive_field_refuses_another_value(new_field):
    field, since, other = new_field
    config, text_of_then = with_field(field, other), decisive_text_without(field)
    stored = resume.completed(json.loads(json.dumps(changed({}))))
    was, got = (json.loads(json.dumps(value)) for value in (since, other))
    for refuse in (
        lambda: resume.require_same_fields(text_of_then, config),
        lambda: resume.require_same_run(stored, config),
    ):
        with pytest.raises(UserError) as raised:
            refuse()
        assert f"config.{field}: the run has {was!r}, got {got!r}" in str(raised.value)


def test_manifest_of_the_first_version_may_be_resumed():
    resume.require_same_fields(json.dumps(FIRST_DECISIVE_FIELDS), default.get_config())


@pytest.mark.parametrize(("parts", "slices"), [(1, 0), (4, 4)])
def test_parts_of_a_replicas_batch_are_read_as_slices(parts, slices):
    stored = changed({})
    del stored["train"]["slices"]
    stored["train"]["micro_batches"] = parts
    complete = resume.completed(stored)
    rules.check(complete)
    assert complete["train"]["slices"] == slices
    manifest = json.dumps(FIRST_DECISIVE_FIELDS | {"train.micro_batches": parts})
    resume.require_same_fields(manifest, changed({"train.slices": slices}))
