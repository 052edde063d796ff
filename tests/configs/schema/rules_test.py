"""Run with `python -m pytest tests/configs/schema/rules_test.py`."""

import pytest

from configs import (
    default,
    imdb,
    imdb_best,
    imdb_gpu,
    imdb_large_batch,
    imdb_lm,
    imdb_lstm,
    imdb_multiworker,
    imdb_semi,
    imdb_tpu,
    sample,
)
from configs.schema import rules
from storage.errors import UserError
from tests.configs.schema.field_values import ACCEPTED, PARTNERS, changed

# Each field with values that are not accepted, most of them of the right type.
REFUSED = {
    "seed": (-1, 2**31, 0.0, True),
    "data.source": ("", "imdb", "samples", "sample:", "tfds", "tfds:", "files:", "shards:"),
    "data.dir": (False,),
    "data.train_split": ("",),
    "data.test_split": ("",),
    "data.unlabelled_split": (None, "unsupervised"),  # the second without a term that reads it
    "data.unlabelled_batch_size": (-1, 0.5, 32),  # the third without a split
    "data.validation_share": (0.0, 1.0, -0.1, 8),
    "data.vocabulary_size": (2, 20_000.0),
    "data.punctuation": (1, "yes"),
    "data.max_tokens": (0, 512.0, True),
    "data.keep": ("", "middle", "Head"),
    "data.width_step": (0, -16),
    "data.text_column": ("", 1),
    "data.label_column": ("", None),
    "data.positive_label": (1, None),
    "data.on_bad_text": ("", "ignore", True),
    "data.cache_dir": (False,),
    "data.cache_bytes": (-1, 1.5),
    "data.shard_reviews": (0, -1),
    "model.embedding_size": (0, -1),
    "model.vectors": (False, 1),
    "model.layer_sizes": ((), (128, 0), (128, -64), (128, 64.0), (128, "64"), ("64;import",), 128),
    "model.bidirectional": (1, "yes"),
    "model.pooling": ("", "average"),
    "model.segment_tokens": (-1, 64.0),
    "model.segment_overlap": (-1, 0.5),
    "model.wide_buckets": (-1, 3, 2**27, 1024.0),
    "model.wide_ngrams": (0, 6),
    "model.wide_dropout": (1.0, -0.1),
    "model.dropout": (1.0, -0.1, float("nan")),
    "model.word_dropout": (1.0, -0.1),
    "model.embedding_dropout": (1.0, -0.1),
    "model.recurrent_dropout": (1.0, -0.1),
    "model.precision": ("float64", "bf16"),
    "model.kernel": ("", "cudnn"),
    "objective.name": ("", "regression", "Classification"),
    "objective.sampled_words": (-1, 10**6 + 1, 0.5),
    "objective.terms.adversarial": (-1.0, "1"),
    "objective.terms.virtual_adversarial": (-1.0, True),
    "objective.terms.entropy": (-1.0, float("inf")),
    "objective.terms.distant": (-1.0, "1"),
    "objective.distance": (0, 10**6 + 1, 0.5),
    "objective.perturbation": (0.0, -5.0),
    "objective.terms_after_epochs": (-1, 0.5),
    "train.epochs": (0, -1, 2.5),
    "train.patience": (-1, 0.5, True),
    "train.batch_size": (0, -64),
    "train.slices": (3, 128, -1),
    "train.steps_per_call": (0,),
    "train.label_smoothing": (1.0, -0.1),
    "train.average_decay": (1.0, -0.1),
    "train.log_every_steps": (0,),
    "train.tensorboard_dir": ("", "checkpoints", "claims", "a/b", "..", "a.b", "logs\n", 1),
    "train.writers": ("tensorboard,", "print", "wandb,wandb", ("wandb",)),
    "train.histograms": (1,),
    "train.profile_steps": ((1,), (0, 1), (2, 1), (1, 2.5), 3, "1,2"),
    "optimizer.name": ("sgd", "Adam"),
    "optimizer.learning_rate": (0.0, -1e-3, float("inf"), float("nan"), True),
    "optimizer.warmup_steps": (-1, 0.5),
    "optimizer.schedule": ("linear", ""),
    "optimizer.layer_decay": (0.0, 1.1, float("nan")),
    "optimizer.unfreeze_steps": (-1, 0.5, True),
    "optimizer.beta1": (1.0, -0.9),
    "optimizer.beta2": (1.0, -0.9),
    "optimizer.epsilon": (0.0, -1e-7),
    "optimizer.weight_decay": (-0.01, 0.01),  # the second without 'adamw'
    "optimizer.clip_norm": (-1.0, float("inf")),
    "strategy.name": ("", "horovod"),
    "strategy.virtual_devices": (-1,),
    "strategy.accelerators": (-1, 100_001, 1.0, True),
    "strategy.tpu": ("", 1),
    "strategy.reduction": ("", "nccl"),
    "strategy.intra_op_threads": (-1, 1025, 1.5, True),
    "strategy.inter_op_threads": (-1, 1025, True),
    "strategy.connect_seconds": (0.5, 86401, float("nan"), True),
    "checkpoint.every_steps": (-1,),
    "checkpoint.keep_last": (0,),
    "checkpoint.retry_seconds": (0.5, 3601.0, "1", float("nan")),
    "checkpoint.init_from": (False,),
    "evaluation.batch_size": (0,),
    "evaluation.report": (1, "yes"),
    "serving.max_body_bytes": (0, 1.5),
    "serving.max_texts": (0,),
    "serving.max_text_bytes": (0,),
    "serving.max_requests": (0,),
    "serving.timeout_seconds": (0, float("nan")),
    "serving.batch_size": (0,),
    "serving.batch_milliseconds": (-1.0, 1001),
}
FIELDS = list(rules.flatten(default.get_config()))


def refusal(config):
    """Returns the one line that refuses a config."""
    with pytest.raises(UserError) as raised:
        rules.check(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    "config",
    [
        *(default, imdb, imdb_best, imdb_gpu, imdb_large_batch, imdb_lm, imdb_lstm),
        *(imdb_multiworker, imdb_semi, imdb_tpu, sample),
    ],
    ids=lambda config: config.__name__,
)
def test_packaged_config_is_accepted(config):
    rules.check(config.get_config())


def test_every_field_has_a_rule_and_every_rule_a_field():
    assert set(rules.RULES) == set(FIELDS)


def test_every_field_is_tested_here():
    assert set(ACCEPTED) == set(REFUSED) == set(FIELDS)


@pytest.mark.parametrize(("field", "value"), ACCEPTED.items())
def test_value_is_accepted(field, value):
    values = {"optimizer.name": "adamw", **PARTNERS.get(field, {}), field: value}
    rules.check(changed(values | {"train.slices": 1} if "batch" in field else values))


def test_terms_that_would_never_join_are_refused():
    values = {"objective.terms.adversarial": 1.0, "train.epochs": 2}
    rules.check(changed(values | {"objective.terms_after_epochs": 1}))
    message = refusal(changed(values | {"objective.terms_after_epochs": 2}))
    assert message.startswith(
        "config.objective.terms_after_epochs: got 2 with config.train.epochs=2, so that "
        "config.objective.terms.adversarial would never join; accepted is a smaller number"
    )
    rules.check(changed({"objective.terms_after_epochs": 2, "train.epochs": 2}))


@pytest.mark.parametrize(
    "values",
    [
        {"data.unlabelled_split": "unsupervised"},
        {"objective.terms.adversarial": 1.0, "objective.terms_after_epochs": 10**9},
    ],
    ids=["unlabelled_split", "terms_after_epochs"],
)
def test_what_a_training_would_not_learn_from_is_accepted_where_none_is_to_come(values):
    refusal(changed(values))
    rules.check(changed(values), trains=False)


def test_slices_may_be_as_many_as_the_batch_has_reviews():
    rules.check(changed({"train.batch_size": 64, "train.slices": 64}))


def test_slices_are_a_power_of_two_unless_the_collective_decides_the_order():
    values = {"train.batch_size": 96, "train.slices": 3}
    assert "with config.strategy.reduction='tree'; accepted is 0 or a power of two that" in refusal(
        changed(values)
    )
    rules.check(changed(values | {"strategy.reduction": "ring"}))


def test_slices_divide_the_reviews_without_labels_too():
    """An epoch before their terms join has the labelled reviews alone, so both are divided."""
    values = {
        "data.unlabelled_split": "unlabelled",
        "data.unlabelled_batch_size": 8,
        "objective.terms.entropy": 1.0,
        "train.batch_size": 8,
    }
    rules.check(changed(values | {"train.slices": 8}))
    message = refusal(changed(values | {"train.slices": 16}))
    assert message.endswith("config.train.batch_size, 8, and config.data.unlabelled_batch_size, 8")


def test_replicas_share_the_slices_evenly():
    config = default.get_config()
    config.train.update(batch_size=96, slices=2)
    config.evaluation.batch_size = 96
    rules.check_replicas(config, 2)
    with pytest.raises(UserError, match=r"config\.train\.slices: got 2 on 4 replicas"):
        rules.check_replicas(config, 4)
    config.train.slices = 0  # one for each replica
    rules.check_replicas(config, 3)


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]]
)
def test_value_is_refused_with_the_field_what_it_got_and_what_it_accepts(field, value):
    message = refusal(changed({field: value}))
    assert message.startswith(f"config.{field}: got {value!r}")
    assert "accepted is" in message


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, ["x"], b"x"], ids=repr)
def test_value_of_another_type_is_refused(field, value):
    assert refusal(changed({field: value})).startswith(f"config.{field}: got {value!r}")


@pytest.mark.parametrize("field", ["data.source", "data.keep", "data.dir", "checkpoint.init_from"])
def test_number_in_place_of_a_text_is_refused(field):
    assert refusal(changed({field: 5})).startswith(f"config.{field}: got 5")


def test_missing_field_is_named():
    config = changed({})
    del config["train"]["epochs"]
    assert refusal(config).startswith("config.train.epochs: missing")


def test_unknown_field_is_named():
    assert refusal(changed({"train.epoch": 3})).startswith("config.train.epoch: no such field")


def test_weight_decay_names_the_optimizer_it_needs():
    assert "'adamw'" in refusal(changed({"optimizer.weight_decay": 0.01}))


def test_segments_overlap_by_less_than_their_length():
    message = refusal(changed({"model.segment_tokens": 64, "model.segment_overlap": 64}))
    assert message.startswith("config.model.segment_overlap: got 64 with config.model.segment_tok")
    rules.check(changed({"model.segment_tokens": 64, "model.segment_overlap": 63}))


def test_language_model_in_both_directions_has_one_layer():
    values = {"objective.name": "language_model", "model.bidirectional": True}
    message = refusal(changed(values))
    assert message.startswith("config.model.bidirectional: got True with 2 layers")
    assert "accepted is True with one layer" in message
    rules.check(changed(values | {"model.layer_sizes": (128,)}))
    rules.check(changed(values | {"model.bidirectional": False}))


@pytest.mark.parametrize(
    "field", ["objective.terms.adversarial", "model.wide_buckets", "train.label_smoothing"]
)
def test_language_model_refuses_what_only_labels_have(field):
    message = refusal(changed({"objective.name": "language_model", field: ACCEPTED[field]}))
    assert message.startswith(f"config.{field}: got ")
    assert "which has no labels; accepted is 0" in message


def test_distant_words_are_a_term_of_the_language_model_alone():
    values = {"objective.terms.distant": 1.0}
    message = refusal(changed(values))
    assert message.startswith("config.objective.terms.distant: got 1.0 with config.objective.name=")
    rules.check(changed(values | {"objective.name": "language_model"}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data.dir", "gs://bucket/tfds"),
        ("data.dir", "gs:/bucket/tfds"),
        ("data.cache_dir", "gs://bucket/cache"),
        ("model.vectors", "gs://bucket/vectors.txt"),
        ("data.source", "files:gs://bucket/reviews"),
        ("data.source", "files:https://host/reviews.csv"),
    ],
)
def test_url_where_files_are_read_is_refused_with_what_to_do(field, value):
    message = refusal(changed({field: value}))
    assert message.startswith(f"config.{field}: got {value!r}, accepted is a path")
    assert "gcloud storage rsync" in message


def test_embedding_starts_from_vectors_or_from_another_run():
    message = refusal(changed({"model.vectors": "a.txt", "checkpoint.init_from": "runs/a"}))
    assert message.startswith("config.model.vectors: got 'a.txt' with config.checkpoint.init_from=")


def test_source_of_shards_may_be_a_url():
    rules.check(changed({"data.source": "shards:gs://bucket/imdb"}))


def test_tpu_compiles_a_few_widths():
    rules.check_widths(imdb_tpu.get_config())
    config = default.get_config()
    config.data.update(width_step=16, max_tokens=129)
    with pytest.raises(UserError, match=r"width_step: got 16, which makes 9 widths; .* up to 8"):
        rules.check_widths(config)
    config.data.max_tokens = 128
    rules.check_widths(config)
    assert rules.static_widths(config.data) == tuple(range(16, 129, 16))
