"""Names what is wrong in a folder of a prepared TFDS data set.

with intact(builder, "train"):
    for example in builder.as_dataset(split="train"): ...
raise damage_of(Path("tfds/imdb_reviews/1.0.0"), "imdb_reviews", error)
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
    """Returns the error of a damaged file in the folder of one version of the data set `name`."""
    intact = [
        f"tfds:{name}:{other.name}"
        for other in _versions(folder.parent)
        if other != folder and not _metadata_fault(other)
    ]
    instead = f"take {' or '.join(intact)}, which is beside it, or " if intact else ""
    return UserError(
        f"config.data.source: {where}: {fault}; delete {folder} and prepare it again with `tfds "
        f"build {name} --data_dir=DIR`, or {instead}give another config.data.dir"
    )


def damage_of(version: Path, name: str, error: Exception) -> UserError:
    """Returns the error of a version's folder that TFDS couldn't open for the reason `error`."""
    reason = f"is incomplete or damaged ({reason_of(error)})"
    return damage(*(_metadata_fault(version) or (version, reason)), version, name)


def fault_of_set(folder: Path, config: str, version: str, error: Exception) -> UserError | None:
    """Returns the error of a data set that TFDS couldn't open, or None when its folder has none.

    Args:
        folder: the data set's own folder.
        config: the config that was asked for; "" for any.
        version: the version that was asked for, such as "1.0.0" or "1.*.*"; "" for the newest.
        error: what TFDS raised.
    """
    configs = [entry for entry in folder.glob("*") if entry.is_dir()]
    held = [found for parent in (folder, *sorted(configs)) for found in _versions(parent)]
    asked = [
        found
        for found in held
        if (not config or found.parent == folder / config)
        and (not version or tfds.core.Version(found.name).match(version))
    ]
    # TFDS reads the newest version of a config.
    newest = {found.parent: found for found in asked}.values()
    if newest:
        damaged = min(newest, key=lambda found: _metadata_fault(found) is None)
        return damage_of(damaged, _name_of(damaged, folder), error)
    if not held:
        return None
    missing = " and ".join(
        f"no {what} {value}" for what, value in (("config", config), ("version", version)) if value
    )
    usable = [found for found in held if not _metadata_fault(found)] or held
    there = " and ".join(f"tfds:{_name_of(found, folder)}:{found.name}" for found in usable)
    return UserError(f"config.data.source: {folder} has {missing}, there is {there}")


def _versions(folder: Path) -> list[Path]:
    """Returns the folders of versions in a folder, oldest first."""
    found = [path for path in folder.glob("*.*.*") if tfds.core.Version.is_valid(path.name)]
    return sorted(found, key=lambda path: tfds.core.Version(path.name))


def _name_of(version: Path, folder: Path) -> str:
    """Returns the name, such as "imdb_reviews/plain_text", of a version in its set's folder."""
    return version.parent.relative_to(folder.parent).as_posix()


def _metadata_fault(version: Path) -> tuple[Path, str] | None:
    """Returns the file with metadata that can't be parsed, and why; None when all can be."""
    for file in (version / part for part in _METADATA):
        try:
            if not isinstance(json.loads(file.read_bytes()), dict):
                return file, "is damaged (no JSON object)"
        except FileNotFoundError:
            return file, "is missing"
        except (OSError, ValueError) as fault:
            return file, f"is damaged ({reason_of(fault)})"
    return None


def name_of(builder: tfds.core.DatasetBuilder) -> str:
    """Returns the name of a data set with its config and without its version."""
    return str(builder.info.full_name).rpartition("/")[0]


def names_of(builder: tfds.core.DatasetBuilder, label: str) -> list[str]:
    """Returns the names of a ClassLabel, or "class 0" and so on for one without names.

    TFDS takes numbers for names when a file of names is missing or can't be used. Numbers would
    pass for 0 = negative and 1 = positive, whatever they stand for. Raises UserError when the file
    doesn't name each class.
    """
    feature, folder = builder.info.features[label], Path(builder.data_path)
    file = folder / f"{label}.labels.txt"
    if not file.exists():
        digits = list(map(str, range(feature.num_classes)))
        if feature.names != digits:
            return feature.names  # those of the data set's code
        return [f"class {digit.zfill(len(digits[-1]))}" for digit in digits]
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    names = [line.strip() for line in lines if line.strip()]
    if names != feature.names or not len(set(names)) == len(names) == feature.num_classes:
        fault = f"needs {feature.num_classes} different names of labels, has {', '.join(names)!r}"
        raise damage(file, fault, folder, name_of(builder))
    return names


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
        raise damage(where, fault, folder, name_of(builder)) from error


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
