"""Values of config fields that the tests of the schema share."""

import copy
from typing import Any

from configs import default

# Each field with an accepted value other than the default's, at an end of its range if it has one.
ACCEPTED = {
    "seed": 2**31 - 1,
    "data.source": "files:reviews",
    "data.dir": "elsewhere",
    "data.train_split": "train[:10%]",
    "data.test_split": "train[90%:]",
    "data.unlabelled_split": "unsupervised",
    "data.unlabelled_batch_size": 32,
    "data.validation_share": 0.999,
    "data.vocabulary_size": 3,
    "data.punctuation": True,
    "data.max_tokens": 1,
    "data.keep": "tail",
    "data.width_step": 1,
    "data.text_column": "review",
    "data.label_column": "sentiment",
    "data.positive_label": "good",
    "data.on_bad_text": "skip",
    "data.cache_dir": "",
    "data.cache_bytes": 0,
    "data.shard_reviews": 1,
    "model.embedding_size": 1,
    "model.vectors": "vectors.txt",
    "model.layer_sizes": (1,),
    "model.bidirectional": True,
    "model.pooling": "attention",
    "model.segment_tokens": 1,
    "model.segment_overlap": 10**6,
    "model.wide_buckets": 2**26,
    "model.wide_ngrams": 5,
    "model.wide_dropout": 0.999,
    "model.dropout": 0.0,
    "model.word_dropout": 0.999,
    "model.embedding_dropout": 0.999,
    "model.recurrent_dropout": 0.999,
    "model.precision": "bfloat16",
    "model.kernel": "xla",
    "objective.name": "language_model",
    "objective.sampled_words": 0,
    "objective.terms.adversarial": 1.0,
    "objective.terms.virtual_adversarial": 0.5,
    "objective.terms.entropy": 1e30,
    "objective.terms.distant": 0.5,
    "objective.distance": 1,
    "objective.perturbation": 1e-30,
    "objective.terms_after_epochs": 1,
    "train.epochs": 1,
    "train.patience": 10**9,
    "train.batch_size": 1,
    "train.slices": 64,
    "train.steps_per_call": 1,
    "train.label_smoothing": 0.999,
    "train.average_decay": 0.999,
    "train.log_every_steps": 1,
    "train.tensorboard_dir": "logs",
    "train.writers": "wandb,tensorboard",
    "train.histograms": True,
    "train.profile_steps": (100, 110),
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 1,
    "optimizer.warmup_steps": 100,
    "optimizer.schedule": "cosine",
    "optimizer.layer_decay": 0.01,
    "optimizer.unfreeze_steps": 10**9,
    "optimizer.beta1": 0,
    "optimizer.beta2": 0.0,
    "optimizer.epsilon": 1e-30,
    "optimizer.weight_decay": 0.01,
    "optimizer.clip_norm": 0.0,
    "strategy.name": "mirrored",
    "strategy.virtual_devices": 8,
    "strategy.accelerators": 100_000,
    "strategy.tpu": "grpc://10.0.0.2:8470",
    "strategy.reduction": "ring",
    "strategy.intra_op_threads": 1024,
    "strategy.inter_op_threads": 1,
    "strategy.connect_seconds": 1,
    "checkpoint.every_steps": 0,
    "checkpoint.keep_last": 1,
    "checkpoint.retry_seconds": 1.0,
    "checkpoint.init_from": "runs/other",
    "evaluation.batch_size": 1,
    "evaluation.report": False,
    "serving.max_body_bytes": 1,
    "serving.max_texts": 1,
    "serving.max_text_bytes": 1,
    "serving.max_requests": 1,
    "serving.timeout_seconds": 0.1,
    "serving.batch_size": 1,
    "serving.batch_milliseconds": 0,
}

# What else a field needs before that value is accepted.
_UNLABELLED = {
    "data.unlabelled_split": "unsupervised",
    "data.unlabelled_batch_size": 32,
    "objective.terms.virtual_adversarial": 1.0,
}
PARTNERS = {
    "data.unlabelled_split": _UNLABELLED,
    "data.unlabelled_batch_size": _UNLABELLED,
    "objective.terms.distant": {"objective.name": "language_model"},
}


def changed(values: dict[str, Any], schedule: str = "constant") -> dict[str, Any]:
    """Returns the default config as a dictionary, with other values in some fields."""
    config = default.get_config().to_dict()
    for field, value in {"optimizer.schedule": schedule, **values}.items():
        *sections, name = field.split(".")
        section = config
        for part in sections:
            section = section[part]
        section[name] = copy.copy(value)
    return config
