"""Source kind `tfds:NAME`: a data set of TensorFlow Datasets with a text and a label.

    reviews = open_reviews("imdb_reviews", config.data)

`data.dir` is the folder of prepared data sets; with '' it is TFDS's default folder, to which a
missing data set is downloaded. The names of the labels are those of the data set's ClassLabel.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import ml_collections
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from input_pipeline.sources.content import digest_of
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import READ_BATCH, Source
from input_pipeline.sources.tfds_download import download
from input_pipeline.sources.tfds_folder import check_names, damage_of, intact, reason_of
from storage.errors import UserError


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the data set named by the argument; UserError when it can't be had."""
    return TextReviews(_open_source(argument, data.dir), data)


def _open_source(name: str, folder: str) -> Source:
    builder = _prepared(name, folder)
    text, label = _text_and_label(builder, name)
    names = _names(builder, label)

    def name_of(number: int) -> str:
        if names is None:
            return str(number)
        if not 0 <= number < len(names):  # TFDS writes -1 for a review without a label
            raise UserError(
                f"config.data.source: {name} has the {label} {number}, accepted are 0 to "
                f"{len(names) - 1} ({', '.join(names)}); take a split whose reviews have labels"
            )
        return names[number]

    def fingerprint(split: str) -> str:
        with intact(builder, _checked(builder, split)):
            files = builder.info.splits[split].filepaths
            named = [(file.name, Path(file)) for file in files]
            return digest_of([split, text, label, names], named)

    def read(split: str) -> Iterable[tuple[tf.Tensor, list[int]]]:
        with intact(builder, _checked(builder, split)):
            # With `shuffle_files=False` TFDS reads one file after another in a fixed order.
            reviews = builder.as_dataset(split=split, shuffle_files=False)
            for batch in reviews.batch(READ_BATCH):
                yield batch[text], batch[label].numpy().tolist()

    def batches(split: str) -> Iterable[tuple[tf.Tensor, list[str]]]:
        for texts, numbers in read(split):
            yield texts, [name_of(number) for number in numbers]

    return Source(fingerprint, batches)


def _checked(builder: tfds.core.DatasetBuilder, split: str) -> str:
    """Returns the split; UserError when it is unknown or empty."""
    try:
        count = builder.info.splits[split].num_examples
    except (KeyError, ValueError) as error:
        raise UserError(
            f"config.data: {builder.name} has no split {split!r}, only "
            f"{', '.join(sorted(builder.info.splits))}"
        ) from error
    if count <= 0:
        raise UserError(f"config.data: the split {split!r} of {builder.name} has no reviews")
    return split


def _prepared(name: str, folder: str) -> tfds.core.DatasetBuilder:
    """Returns the builder of a data set in a folder, or in TFDS's, where it may download it."""
    root = Path(folder or tfds.core.constants.DATA_DIR).expanduser()
    if folder and not root.is_dir():
        raise UserError(f"config.data.dir: {folder} is no folder; {_advice(name)}")
    own_folder = root / re.split("[/:]", name)[0]
    try:
        builder = tfds.builder(name, data_dir=folder or None)
    # Undocumented: TFDS raises what parsing its files and importing its modules does.
    except Exception as error:
        if own_folder.is_dir():
            raise damage_of(own_folder, name, error) from error
        raise UserError(
            f"config.data.source: no TFDS data set {name!r} ({reason_of(error)}); see "
            "tensorflow.org/datasets"
        ) from error
    if not builder.info.splits:
        path = Path(builder.data_path)
        if path.is_dir():
            raise damage_of(path, name, FileNotFoundError("no splits in dataset_info.json"))
        if folder:
            raise UserError(
                f"config.data.dir: {folder} holds no {builder.name}; {_advice(builder.name)}"
            )
        download(builder, root, _advice(builder.name))
    return builder


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
    check_names(builder, label)
    return feature.names
