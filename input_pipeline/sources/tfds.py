"""Source kind `tfds:NAME`: a data set of TensorFlow Datasets with a text and a label.

    reviews = open_reviews("imdb_reviews", config.data)

`data.dir` is the folder of prepared data sets; with '' it is TFDS's default folder, to which a
missing data set is downloaded. The names of the labels are those of the data set's ClassLabel.
"""

from collections.abc import Iterable
from pathlib import Path

import ml_collections
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import naming

from input_pipeline.sources import registry
from input_pipeline.sources.content import digest_of
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import READ_BATCH, Source, field_of, warn_of_blank_texts
from input_pipeline.sources.tfds_download import download
from input_pipeline.sources.tfds_folder import (
    damage_of,
    fault_of_set,
    intact,
    name_of,
    names_of,
    reason_of,
)
from storage.errors import UserError


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the data set named by the argument; UserError when it can't be had."""
    return TextReviews(_open_source(argument, data), data)


def _open_source(name: str, data: ml_collections.ConfigDict) -> Source:
    builder = _prepared(name, data.dir)
    text, label = _text_and_label(builder, name)
    names = _names(builder, label)

    def name_of_number(number: int) -> str:
        if names is None:
            return str(number)
        if not 0 <= number < len(names):  # TFDS writes -1 for a review without a label
            raise UserError(
                f"config.data.source: {name} has the {label} {number}, accepted are 0 to "
                f"{len(names) - 1} ({', '.join(names)}); take a split whose reviews have labels, "
                "or name this one in config.data.unlabelled_split"
            )
        return names[number]

    def fingerprint(split: str) -> str:
        with intact(builder, _checked(builder, split, data)):
            files = builder.info.splits[split].filepaths
            named = [(file.name, Path(file)) for file in files]
            labels = [] if split == data.unlabelled_split else [label, names]
            return digest_of([split, text, *labels], named)

    def read(split: str) -> Iterable[tuple[tf.Tensor, list[int]]]:
        with intact(builder, _checked(builder, split, data)):
            # With `shuffle_files=False` TFDS reads the files in a fixed order.
            reviews = builder.as_dataset(split, shuffle_files=False, read_config=_read_once())
            for batch in reviews.batch(READ_BATCH):
                yield batch[text], batch[label].numpy().tolist()

    def batches(split: str) -> Iterable[tuple[tf.Tensor, list[str]]]:
        blank, labelled = 0, split != data.unlabelled_split
        for texts, numbers in read(split):
            blank += sum(not text.strip() for text in texts.numpy())
            yield texts, [name_of_number(n) if labelled else "" for n in numbers]
        warn_of_blank_texts(f"{name}, split {split!r}", blank)

    return Source(fingerprint, batches)


def _read_once() -> tfds.ReadConfig:
    """Returns how to read a split from beginning to end, at half the cost of TFDS's own way.

    That keeps all reviews in memory for a second reading, and hands each of them from thread to
    thread.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    return tfds.ReadConfig(options=options, try_autocache=False, skip_prefetch=True)


def _checked(builder: tfds.core.DatasetBuilder, split: str, data: ml_collections.ConfigDict) -> str:
    """Returns the split; UserError when it is unknown or empty."""
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{field_of(split, data)}: {builder.name} has no split {split!r}, only "
            f"{', '.join(sorted(builder.info.splits))}"
        ) from error
    if count <= 0:
        raise UserError(
            f"{field_of(split, data)}: the split {split!r} of {builder.name} has no reviews; take "
            "another"
        )
    return split


def _prepared(name: str, folder: str) -> tfds.core.DatasetBuilder:
    """Returns the builder of a data set in a folder, or in TFDS's, where it may download it."""
    set_name, config, version = _parts(name)
    if not folder:
        registry.require_path("$TFDS_DATA_DIR", str(tfds.core.constants.DATA_DIR))
    root = Path(folder or tfds.core.constants.DATA_DIR).expanduser()
    if folder and not root.is_dir():
        raise UserError(f"config.data.dir: {folder} is no folder; {_advice(name)}")
    too_deep = f"config.data.dir must hold the folder {set_name}, give the folder above it; "
    hint = too_deep if set_name in root.absolute().parts else ""
    try:
        builder = tfds.builder(name, data_dir=folder or None)
    # Undocumented: TFDS raises what parsing its files and importing its modules does.
    except Exception as error:
        raise fault_of_set(root / set_name, config, version, error) or UserError(
            f"config.data.source: no TFDS data set {name!r} ({reason_of(error)}); {hint}see "
            "tensorflow.org/datasets"
        ) from error
    if not builder.info.splits:
        path = Path(builder.data_path)
        if path.is_dir():
            fault = FileNotFoundError("no splits in dataset_info.json")
            raise damage_of(path, name_of(builder), fault)
        if folder:
            raise UserError(
                f"config.data.dir: {folder} holds no {builder.name}; {hint}{_advice(builder.name)}"
            )
        download(builder, root, _advice(builder.name))
    return builder


def _parts(name: str) -> tuple[str, str, str]:
    """Returns the data set, the config and the version in a name, "" for one that isn't given.

    Raises UserError for a text that is no name, so that no other folder is looked into.
    """
    try:
        found, options = naming.parse_builder_name_kwargs(name)
        config = options.get("config", "")
        if config in (".", ".."):
            raise ValueError("no name")
    except ValueError as error:
        raise UserError(
            f"config.data.source: got {'tfds:' + name!r}, accepted is tfds:NAME, tfds:NAME/CONFIG, "
            "tfds:NAME:VERSION or tfds:NAME/CONFIG:VERSION, with letters, digits and underscores "
            "in NAME and a VERSION such as 1.0.0"
        ) from error
    return found.name, config, options.get("version", "")


def _advice(name: str) -> str:
    return (
        f"prepare it with `tfds build {name} --data_dir=DIR` on a machine that reaches the "
        "internet and give --config.data.dir=DIR, or try --config=configs/sample.py, which needs "
        "no data"
    )


def _text_and_label(builder: tfds.core.DatasetBuilder, name: str) -> tuple[str, str]:
    """Returns the names of the features that hold the text and the label."""
    features = builder.info.features
    texts = [name for name in features if isinstance(features[name], tfds.features.Text)]
    classes = [name for name in features if isinstance(features[name], tfds.features.ClassLabel)]
    one_of_each = (texts[0], classes[0]) if len(texts) == len(classes) == 1 else ("text", "label")
    text, label = builder.info.supervised_keys or one_of_each
    if text not in texts or label not in features or not _is_number(features[label]):
        raise UserError(
            f"config.data.source: {name} has the features {', '.join(features)}, but a text and "
            "its label (a class or a whole number) are needed; take another data set, or convert "
            "it for files:PATH"
        )
    return text, label


def _is_number(feature: tfds.features.FeatureConnector) -> bool:
    """Returns True for a single whole number, which a ClassLabel is too."""
    is_tensor = isinstance(feature, tfds.features.Tensor)
    return is_tensor and feature.shape == () and np.dtype(feature.np_dtype).kind in "iu"


def _names(builder: tfds.core.DatasetBuilder, label: str) -> list[str] | None:
    """Returns the names of the label's numbers, or None for numbers without names."""
    feature = builder.info.features[label]
    if not isinstance(feature, tfds.features.ClassLabel):
        return None
    return names_of(builder, label)
