"""Source kind `tfds:NAME`: a data set of TensorFlow Datasets with a text and two classes of label.

    reviews = open_reviews("imdb_reviews", config.data)

`data.dir` is the folder of prepared data sets; with '' it is TFDS's default folder, to which a
missing data set is downloaded.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import ml_collections
import tensorflow as tf
import tensorflow_datasets as tfds

from input_pipeline.sources.content import digest_of
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import READ_BATCH, Source
from storage.errors import UserError


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the data set named by the argument; UserError when it can't be had."""
    return TextReviews(_open_source(argument, data.dir), data)


def _open_source(name: str, folder: str) -> Source:
    builder = _builder(name, folder)
    text_feature, label_feature = _text_and_label(builder, name)
    if not builder.info.splits:
        _download(builder, folder)

    names = getattr(builder.info.features[label_feature], "names", None)

    def name_of(number: int) -> str:
        if names is None:
            return str(number)
        if not 0 <= number < len(names):  # TFDS writes -1 for a review without a label
            raise UserError(
                f"config.data.source: {name} has the {label_feature} {number}, accepted are 0 to "
                f"{len(names) - 1} ({', '.join(names)}); take a split whose reviews have labels"
            )
        return names[number]

    def checked(split: str) -> str:
        try:
            count = builder.info.splits[split].num_examples
        except (KeyError, ValueError) as error:
            raise UserError(
                f"config.data: {name} has no split {split!r}, only "
                f"{', '.join(sorted(builder.info.splits))}"
            ) from error
        if count <= 0:
            raise UserError(f"config.data: the split {split!r} of {name} has no reviews")
        return split

    def fingerprint(split: str) -> str:
        files = builder.info.splits[checked(split)].filepaths
        named = [(file.name, Path(file)) for file in files]
        return digest_of([split, text_feature, label_feature, names], named)

    def batches(split: str) -> Iterable[tuple[tf.Tensor, list[str]]]:
        # With `shuffle_files=False` TFDS reads one file after another in a fixed order.
        reviews = builder.as_dataset(split=checked(split), shuffle_files=False)
        for batch in reviews.batch(READ_BATCH):
            numbers = batch[label_feature].numpy()
            yield batch[text_feature], [name_of(number) for number in numbers.tolist()]

    return Source(fingerprint, batches)


def _builder(name: str, folder: str) -> tfds.core.DatasetBuilder:
    if folder and not Path(folder).expanduser().is_dir():
        raise UserError(f"config.data.dir: {folder} is no folder; {_advice(name)}")
    try:
        return tfds.builder(name, data_dir=folder or None)
    except (tfds.core.DatasetNotFoundError, ImportError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"config.data.source: no TFDS data set {name!r} ({reason}); see tensorflow.org/datasets"
        ) from error


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
    if text not in texts or label not in features:
        raise UserError(
            f"config.data.source: {name} has the features {', '.join(features)}, but a text and "
            "its label are needed; take another data set, or convert it for files:PATH"
        )
    return text, label


def _download(builder: tfds.core.DatasetBuilder, folder: str) -> None:
    advice = _advice(builder.name)
    if folder:
        raise UserError(f"config.data.dir: {folder} holds no {builder.name}; {advice}")
    print(
        f"Downloading {builder.name} to {builder.data_dir}. Without internet: {advice}", flush=True
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs each of its many retries
    try:
        builder.download_and_prepare()
    # Undocumented: seen are exceptions of requests, of TFDS and of TensorFlow.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise UserError(
            f"config.data.source: downloading {builder.name} failed "
            f"({type(error).__name__}: {reason}); {advice}"
        ) from error
