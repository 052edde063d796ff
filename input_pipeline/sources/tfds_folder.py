"""Names what is wrong in a folder of a prepared TFDS data set.

with intact(builder, "train"):
    for example in builder.as_dataset(split="train"): ...
raise damage_of(Path("tfds/imdb_reviews"), "imdb_reviews", error)
"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds

from storage.errors import UserError

_METADATA = ("dataset_info.json", "features.json")
_LONGEST_REASON = 200  # characters


def reason_of(error: Exception) -> str:
    """Returns the first line of an error, without TensorFlow's names of ops."""
    text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", str(error)).strip()
    return text.partition("\n")[0][:_LONGEST_REASON] or type(error).__name__


def damage(where: Path, fault: str, folder: Path, name: str) -> UserError:
    """Returns the error of a damaged file in the folder of the data set `name`."""
    return UserError(
        f"config.data.source: {where}: {fault}; delete {folder} and prepare it again with `tfds "
        f"build {name} --data_dir=DIR`, or give another config.data.dir"
    )


def damage_of(folder: Path, name: str, error: Exception) -> UserError:
    """Returns the error of a folder whose metadata TFDS couldn't read for the reason `error`."""
    versions = {path.parent for path in folder.rglob("*.json") if path.name in _METADATA}
    for file in (version / part for version in sorted(versions) for part in _METADATA):
        try:
            if not isinstance(json.loads(file.read_bytes()), dict):
                return damage(file, "is damaged (no JSON object)", folder, name)
        except FileNotFoundError:
            return damage(file, "is missing", folder, name)
        except (OSError, ValueError) as fault:
            return damage(file, f"is damaged ({reason_of(fault)})", folder, name)
    return damage(folder, f"is incomplete or damaged ({reason_of(error)})", folder, name)


def check_names(builder: tfds.core.DatasetBuilder, label: str) -> None:
    """Raises UserError when the names of a ClassLabel are not those in its file.

    TFDS reads on with numbers for names when it can't use the file.
    """
    feature, folder = builder.info.features[label], Path(builder.data_path)
    file = folder / f"{label}.labels.txt"
    if not file.exists():
        return
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    names = [line.strip() for line in lines if line.strip()]
    if names != feature.names or not len(set(names)) == len(names) == feature.num_classes:
        fault = f"needs {feature.num_classes} different names of labels, has {', '.join(names)!r}"
        raise damage(file, fault, folder, builder.name)


@contextlib.contextmanager
def intact(builder: tfds.core.DatasetBuilder, split: str) -> Iterator[None]:
    """Turns the error of a record file that can't be read into a UserError that names it."""
    try:
        yield
    except (tf.errors.OpError, OSError, ValueError) as error:
        folder = Path(builder.data_path)
        where, fault = folder, f"can't be read ({reason_of(error)})"
        # TensorFlow doesn't say which file it was.
        for file, reviews in _record_files(builder, split):
            if found := _fault_of(file, reviews):
                where, fault = file, found
                break
        raise damage(where, fault, folder, builder.name) from error


def _record_files(builder: tfds.core.DatasetBuilder, split: str) -> list[tuple[Path, int]]:
    """Returns the record files that a split reads, and the number of reviews in each."""
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        return []
    sizes: dict[Path, int] = {}
    try:
        for whole in builder.info.splits.values():
            sizes.update(zip(whole.filepaths, whole.shard_lengths, strict=True))
        return [(Path(file), sizes[file]) for file in builder.info.splits[split].filepaths]
    except (KeyError, ValueError):  # the metadata doesn't fit together
        return []


def _fault_of(file: Path, reviews: int) -> str:
    try:
        found = sum(1 for _ in tf.data.TFRecordDataset(str(file)))
    except tf.errors.NotFoundError:
        return "is missing"
    except tf.errors.OpError as error:
        return f"can't be read ({reason_of(error)})"
    return "" if found == reviews else f"has {found:,} reviews, {_METADATA[0]} says {reviews:,}"
