"""Which config may resume a run: the one whose decisive fields are those of the run.

    stored = resume.completed(json.loads(text))     # a config.json, of this version or an older one
    resume.require_same_run(stored, config)         # UserError unless `config` may resume it
    fields = resume.decisive_fields(config)         # JSON text, which each manifest carries
    resume.require_same_fields(fields, config)      # the comparison with a manifest's text

A decisive field is one that the run's numbers depend on: the fields outside FREE. A config or a
manifest may come from a version that lacked a field; SINCE says what its absence meant.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from configs.schema.rules import flatten
from storage.errors import UserError

# Sections and fields that may differ between the starts of a run: its numbers do not depend on
# them.
FREE = frozenset(
    {
        "strategy",
        "evaluation",
        "serving",
        "checkpoint.every_steps",
        "checkpoint.keep_last",
        "checkpoint.retry_seconds",
        "data.dir",
        "data.test_split",
        "data.text_column",
        "data.label_column",
        "data.cache_dir",
        "data.cache_bytes",
        "data.shard_reviews",
        "model.kernel",
        "train.log_every_steps",
        "train.slices",
        "train.steps_per_call",
        "train.patience",
        "train.tensorboard_dir",
        "train.writers",
        "train.histograms",
        "train.profile_steps",
    }
)

# The fields that the first version of the config lacked, each with the value that describes what
# runs did before the field existed. It differs from the field's default where that has changed
# what runs do.
SINCE: dict[str, Any] = {
    "data.label_column": "label",
    "data.positive_label": "",
    "data.punctuation": False,
    "data.text_column": "text",
    "data.unlabelled_batch_size": 0,
    "data.unlabelled_split": "",
    "evaluation.report": True,
    "model.embedding_dropout": 0.0,
    "model.recurrent_dropout": 0.0,
    "model.segment_overlap": 0,
    "model.segment_tokens": 0,
    "model.vectors": "",
    "model.wide_buckets": 0,
    "model.wide_dropout": 0.0,
    "model.wide_ngrams": 2,
    "model.word_dropout": 0.0,
    "objective.distance": 20,
    "objective.name": "classification",
    "objective.perturbation": 5.0,
    "objective.sampled_words": 1000,
    "objective.terms.adversarial": 0.0,
    "objective.terms.distant": 0.0,
    "objective.terms.entropy": 0.0,
    "objective.terms.virtual_adversarial": 0.0,
    "objective.terms_after_epochs": 0,
    "optimizer.layer_decay": 1.0,
    "optimizer.unfreeze_steps": 0,
    "serving.batch_milliseconds": 2.0,
    "serving.batch_size": 64,
    "serving.max_body_bytes": 1_048_576,
    "serving.max_requests": 256,
    "serving.max_text_bytes": 100_000,
    "serving.max_texts": 256,
    "serving.timeout_seconds": 10.0,
    "strategy.accelerators": 0,
    "strategy.connect_seconds": 600.0,
    "strategy.inter_op_threads": 0,
    "strategy.intra_op_threads": 0,
    "strategy.reduction": "ring",
    "train.histograms": False,
    "train.patience": 0,
    "train.profile_steps": (),
    "train.slices": 0,
    "train.tensorboard_dir": "tensorboard",
    "train.writers": "tensorboard",
}

# What `train.slices` was called when it counted the slices of each replica, 1 for what is now 0.
_FORMER_SLICES = "micro_batches"

# What a run starts from. Earlier versions kept it in config.json only, not in manifests.
_ORIGIN = ("checkpoint.init_from", "model.vectors")

# Stands for `train.epochs` where the numbers do not depend on it.
_ANY = "any"


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a copy of a config as read from JSON, with the fields of SINCE that it lacks."""
    complete = copy.deepcopy(dict(config))
    train = complete.get("train")
    if isinstance(train, dict) and (parts := train.pop(_FORMER_SLICES, 1)) != 1:
        train["slices"] = parts
    for field, value in SINCE.items():
        *sections, name = field.split(".")
        section = complete
        for part in sections:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                break  # a damaged file, which rules.check refuses
        else:
            section.setdefault(name, value)
    return complete


def decisive_fields(config: Mapping[str, Any]) -> str:
    """Returns the decisive fields of a complete config as JSON text, sorted by name.

    Two configs with the same text train the same run.
    """
    fields = json.loads(json.dumps(flatten(config)))  # tuples become lists, as in config.json
    if fields["optimizer.schedule"] == "constant":
        # A cosine schedule ends with the last epoch; a constant one does not depend on it.
        fields["train.epochs"] = _ANY
    decisive = {field: value for field, value in fields.items() if is_decisive(field)}
    return json.dumps(decisive, sort_keys=True)


def require_same_run(stored: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Raises UserError unless `config` may resume the run with the config `stored`.

    Both are complete. The error names each decisive field that differs, with both values.
    """
    require_same_fields(decisive_fields(stored), config)


def require_same_fields(stored: str, config: Mapping[str, Any]) -> None:
    """Raises UserError unless `config` may resume the run with the decisive fields `stored`.

    `stored` is what `decisive_fields` returned in this version or an older one.
    """
    new = json.loads(decisive_fields(config))
    unknown = {field: new[field] for field in _ORIGIN}
    fields = json.loads(json.dumps(SINCE)) | unknown | json.loads(stored)
    fields.pop(f"train.{_FORMER_SLICES}", None)
    old = {field: value for field, value in fields.items() if is_decisive(field)}
    if _ANY in (old["train.epochs"], new["train.epochs"]):
        old["train.epochs"] = new["train.epochs"] = _ANY
    changes = [
        f"config.{field}: the run has {old.get(field)!r}, got {new.get(field)!r}"
        for field in sorted(old.keys() | new.keys())
        if old.get(field) != new.get(field)
    ]
    if not changes:
        return
    why = "these decide the numbers"
    if old["train.epochs"] != new["train.epochs"]:
        why += (
            ", train.epochs because a cosine schedule ends with the last epoch (to train longer, "
            "start another run with config.checkpoint.init_from)"
        )
    raise UserError(
        "; ".join(changes) + f"; {why}: give the run's own values, or another --workdir"
    )


def is_decisive(field: str) -> bool:
    """Returns True for a field that the numbers of a run depend on."""
    return field not in FREE and field.partition(".")[0] not in FREE
