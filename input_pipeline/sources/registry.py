"""Where reviews come from: (text, label) pairs of a split, never of another source than asked for.

    source = open_source("tfds:imdb_reviews", folder="", on_bad_text="fail")
    for texts, labels in source.batches("train"): ...

`sample` is the embedded corpus. `tfds:NAME` is a TensorFlow Datasets set with a text and a label
of two classes. `files:PATH` holds, for each split, a folder `PATH/<split>` with `pos/` and `neg/`
or a file `PATH/<split>.csv` or `.jsonl` with the columns `text` and `label`; when PATH is itself
such a folder or file, a fixed tenth of it is its `test` split.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from input_pipeline.sources import files, sample_corpus
from storage.errors import UserError

_READ_BATCH = 1024


class Source(NamedTuple):
    """One data set. Both functions raise UserError for a split that is missing or empty."""

    # The split -> a text that changes when its reviews do, without reading them where possible.
    fingerprint: Callable[[str], str]
    # The split -> pairs of texts <string>[n] and labels <int32>[n], in an order that never changes.
    batches: Callable[[str], Iterable[tuple[tf.Tensor, np.ndarray]]]


def open_source(name: str, folder: str, on_bad_text: str) -> Source:
    """The source of that name.

    `folder` is where TFDS keeps its sets, or what a relative `files:` path hangs under;
    '' is TFDS's default, or the working folder.
    """
    kind, _, argument = name.partition(":")
    if kind == "tfds":
        return _tfds_source(argument, folder)
    if kind == "files":
        reader = files.open_files(Path(folder, argument).expanduser(), on_bad_text)
        return _listed_source(reader.fingerprint, reader.read)
    if name == "sample":
        return _listed_source(lambda split: _digest(_read_sample(split)), _read_sample)
    raise UserError(
        f"config.data.source: got {name!r}, accepted is 'sample', 'tfds:NAME' or 'files:PATH'"
    )


@functools.cache  # asked for at each fingerprint and each reading
def _read_sample(split: str) -> list[tuple[str, int]]:
    if split not in sample_corpus.SPLITS:
        raise UserError(
            f"config.data: sample has no split {split!r}, only {', '.join(sample_corpus.SPLITS)}"
        )
    return sample_corpus.reviews(split)


def _listed_source(
    fingerprint: Callable[[str], str], read: Callable[[str], list[tuple[str, int]]]
) -> Source:
    def batches(split: str) -> Iterable[tuple[tf.Tensor, np.ndarray]]:
        reviews = read(split)
        if not reviews:
            raise UserError(
                f"config.data: the split {split!r} has no reviews; at least 1 is needed"
            )
        for start in range(0, len(reviews), _READ_BATCH):
            texts, labels = zip(*reviews[start : start + _READ_BATCH], strict=True)
            yield tf.constant(texts), np.array(labels, np.int32)

    return Source(fingerprint, batches)


def _digest(reviews: list[tuple[str, int]]) -> str:
    return hashlib.sha256(json.dumps(reviews).encode()).hexdigest()


def _tfds_source(name: str, folder: str) -> Source:
    # Imported here: it takes a second, and only runs on such data need it.
    import tensorflow_datasets as tfds

    advice = (
        f"prepare it with `tfds build {name} --data_dir=DIR` on a machine that reaches the "
        "internet and give --config.data.dir=DIR, or try --config=configs/sample.py, which needs "
        "no data"
    )
    if folder and not Path(folder).expanduser().is_dir():
        raise UserError(f"config.data.dir: {folder} is no folder; {advice}")
    try:
        builder = tfds.builder(name, data_dir=folder or None)
    except (tfds.core.DatasetNotFoundError, ImportError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"config.data.source: no TFDS data set {name!r} ({reason}); see tensorflow.org/datasets"
        ) from error
    text, label = _text_and_label(builder, name)
    if not builder.info.splits:
        _download(builder, folder, advice)

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
        base = checked(split).partition("[")[0]
        return f"{builder.info.full_name} {split} {builder.info.splits[base].shard_lengths}"

    def batches(split: str) -> Iterable[tuple[tf.Tensor, np.ndarray]]:
        # TFDS reads one file after another in a fixed order when told not to shuffle them.
        reviews = builder.as_dataset(split=checked(split), shuffle_files=False)
        for batch in reviews.batch(_READ_BATCH):
            yield batch[text], _two_classes(batch[label].numpy(), name)

    return Source(fingerprint, batches)


def _text_and_label(builder, name: str) -> tuple[str, str]:
    import tensorflow_datasets as tfds

    features = builder.info.features
    texts = [name for name in features if isinstance(features[name], tfds.features.Text)]
    labels = [name for name in features if isinstance(features[name], tfds.features.ClassLabel)]
    one_of_each = (texts[0], labels[0]) if len(texts) == len(labels) == 1 else ("text", "label")
    text, label = builder.info.supervised_keys or one_of_each
    if text not in texts or label not in features:
        raise UserError(
            f"config.data.source: {name} has the features {', '.join(features)}, but a text and "
            "its label are needed; take another data set, or bring it as files:"
        )
    classes = getattr(features[label], "num_classes", 2)
    if classes != 2:
        raise UserError(
            f"config.data.source: {name} has {classes} classes of label, accepted are 2"
        )
    return text, label


def _two_classes(labels: np.ndarray, name: str) -> np.ndarray:
    strange = labels[(labels != 0) & (labels != 1)]
    if strange.size:
        raise UserError(f"config.data.source: {name} has the label {strange[0]}, accepted: 0 and 1")
    return labels.astype(np.int32)


def _download(builder, folder: str, advice: str) -> None:
    if folder:
        raise UserError(f"config.data.dir: {folder} holds no {builder.name}; {advice}")
    print(
        f"Downloading {builder.name} to {builder.data_dir}. Without internet: {advice}", flush=True
    )
    # It tells of each of its many attempts.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        builder.download_and_prepare()
    # What a download raises is not documented and ranges over requests, TFDS and TensorFlow.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise UserError(
            f"config.data.source: downloading {builder.name} failed "
            f"({type(error).__name__}: {reason}); {advice}"
        ) from error
