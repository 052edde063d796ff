"""Which fields of a config fit together, once each of them is in range.

check(flatten(config))              # UserError for the first fields that don't
check_training(flatten(config))     # the same for those of which a training would learn nothing
"""

from collections.abc import Mapping
from typing import Any

from input_pipeline.sources import registry
from storage.errors import UserError

_TERMS = "objective.terms."
# The loss term of a language model; all others are of a classification.
_DISTANT = f"{_TERMS}distant"
# The loss terms of a classification that learn from reviews without labels.
UNLABELLED_TERMS = ("virtual_adversarial", "entropy")


def check(fields: Mapping[str, Any]) -> None:
    """Raises UserError when fields, by their full names, do not fit together."""
    for field in ("data.dir", "data.cache_dir"):
        registry.require_path(f"config.{field}", fields[field])
    registry.require_path("config.data.source", fields["data.source"], prefix="files:")
    _check_slices(fields)
    _check_unlabelled(fields)
    tokens, overlap = fields["model.segment_tokens"], fields["model.segment_overlap"]
    if tokens and overlap >= tokens:
        raise UserError(
            f"config.model.segment_overlap: got {overlap} with config.model.segment_tokens="
            f"{tokens}; accepted is a smaller overlap, or segment_tokens=0, which is off"
        )
    _check_vectors(fields)
    if fields["objective.name"] == "language_model":
        _check_language_model(fields)
    elif fields[_DISTANT]:
        raise UserError(
            f"config.{_DISTANT}: got {fields[_DISTANT]} with "
            f"config.objective.name={fields['objective.name']!r}; accepted is 0, or take "
            "'language_model'"
        )
    virtual_devices, strategy = fields["strategy.virtual_devices"], fields["strategy.name"]
    if virtual_devices and strategy not in ("auto", "mirrored"):
        raise UserError(
            f"config.strategy.virtual_devices: got {virtual_devices} with config.strategy.name="
            f"{strategy!r}, which does not split the CPU; accepted is 0, or take 'mirrored'"
        )
    weight_decay, optimizer = fields["optimizer.weight_decay"], fields["optimizer.name"]
    if weight_decay and optimizer != "adamw":
        raise UserError(
            f"config.optimizer.weight_decay: got {weight_decay} with config.optimizer.name="
            f"{optimizer!r}; accepted is 0.0, or take 'adamw'"
        )


def check_training(fields: Mapping[str, Any]) -> None:
    """Raises UserError when a training would learn nothing of what fields ask it to learn."""
    split, beside = fields["data.unlabelled_split"], fields["data.unlabelled_batch_size"]
    is_read = beside > 0 and any(fields[f"{_TERMS}{name}"] for name in UNLABELLED_TERMS)
    if split and fields["objective.name"] == "classification" and not is_read:
        raise UserError(
            f"config.data.unlabelled_split: got {split!r}, of which nothing would be learned; "
            "accepted is '', or give config.data.unlabelled_batch_size and a factor in "
            f"config.objective.terms to one of {', '.join(UNLABELLED_TERMS)}"
        )
    after, epochs = fields["objective.terms_after_epochs"], fields["train.epochs"]
    terms = [name for name in fields if name.startswith(_TERMS) and fields[name]]
    if terms and after >= epochs:
        raise UserError(
            f"config.objective.terms_after_epochs: got {after} with config.train.epochs={epochs}, "
            f"so that config.{terms[0]} would never join; accepted is a smaller number, or a "
            "factor of 0"
        )


def is_power_of_two(number: int) -> bool:
    """Returns True for 0 and for powers of two."""
    return number & (number - 1) == 0


def _check_slices(fields: Mapping[str, Any]) -> None:
    slices, in_tree = fields["train.slices"], fields["strategy.reduction"] == "tree"
    if not slices:
        return
    batch_size, beside = fields["train.batch_size"], fields["data.unlabelled_batch_size"]
    # Each is divided: before the terms join, batches have no reviews beside the labelled ones.
    if batch_size % slices or beside % slices or (in_tree and not is_power_of_two(slices)):
        divisor = "a power of two that divides" if in_tree else "a divisor of"
        also = f", and config.data.unlabelled_batch_size, {beside}" if beside else ""
        raise UserError(
            f"config.train.slices: got {slices} with config.strategy.reduction="
            f"{fields['strategy.reduction']!r}; accepted is 0 or {divisor} "
            f"config.train.batch_size, {batch_size}{also}"
        )


def _check_language_model(fields: Mapping[str, Any]) -> None:
    layers = len(fields["model.layer_sizes"])
    if fields["model.bidirectional"] and layers > 1:
        raise UserError(
            f"config.model.bidirectional: got True with {layers} layers, the second of which would "
            "see the words that config.objective.name='language_model' predicts; accepted is True "
            "with one layer in config.model.layer_sizes, or False"
        )
    terms = [name for name in fields if name.startswith(_TERMS)]
    terms.remove(_DISTANT)
    for field in (*terms, "model.wide_buckets", "train.label_smoothing"):
        if fields[field]:
            raise UserError(
                f"config.{field}: got {fields[field]} with config.objective.name='language_model', "
                "which has no labels; accepted is 0, or take 'classification'"
            )


def _check_unlabelled(fields: Mapping[str, Any]) -> None:
    split, beside = fields["data.unlabelled_split"], fields["data.unlabelled_batch_size"]
    if beside and not split:
        raise UserError(
            f"config.data.unlabelled_batch_size: got {beside} without reviews to take; accepted "
            "is 0, or name a split in config.data.unlabelled_split"
        )
    if split and split in (fields["data.train_split"], fields["data.test_split"]):
        raise UserError(
            f"config.data.unlabelled_split: got {split!r}, which is another split already; "
            "accepted is a third one, or ''"
        )
    if split and fields["data.source"].startswith("shards:"):
        raise UserError(
            f"config.data.unlabelled_split: got {split!r} with prepared shards, which hold "
            "labelled reviews only; accepted is '', or a source of texts"
        )


def _check_vectors(fields: Mapping[str, Any]) -> None:
    vectors, init_from = fields["model.vectors"], fields["checkpoint.init_from"]
    registry.require_path("config.model.vectors", vectors, instead="")
    if vectors and init_from:
        raise UserError(
            f"config.model.vectors: got {vectors!r} with config.checkpoint.init_from="
            f"{init_from!r}, whose embedding the run starts from; accepted is '' for one of them"
        )
