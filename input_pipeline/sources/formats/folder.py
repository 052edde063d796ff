"""Reads a folder of text files: each subfolder is a label, each file in it a review.

for label, file in text_files(Path("train")): ...
for row in read(text_files(Path("train"))): ...
"""

import collections
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from input_pipeline.sources import once
from input_pipeline.sources.formats import signature
from input_pipeline.sources.formats.row import Refusal, Row, plain_row
from input_pipeline.sources.paths import require_regular

_ENDING = ".txt"
_UNLABELLED = "unsup"  # a folder of IMDB's archive


def label_folders(folder: Path, unlabelled: Path | None = None) -> list[str]:
    """Returns the names of the subfolders that stand for labels, sorted.

    `unlabelled` is a folder of another split, which is no label.
    """
    return [
        entry.name
        for entry in _entries(folder)
        if entry.is_dir()
        and entry.name != _UNLABELLED
        and not entry.name.startswith(".")
        and folder / entry.name != unlabelled
    ]


def text_files(folder: Path, unlabelled: Path | None = None) -> list[tuple[str, Path]]:
    """Returns the label and the path of each review, sorted, and says what it leaves out.

    The folder `unlabelled` is read as another split, so it isn't left out.

    Raises UserError for fewer than two labels, and OSError when a folder can't be listed.
    """
    labels = label_folders(folder, unlabelled)
    if len(labels) < 2:
        raise Refusal(
            folder,
            f"needs two or more folders, one a label; it has {', '.join(labels) or 'none'}",
        )
    files = []
    left_out: collections.Counter[str] = collections.Counter()
    for entry in _entries(folder):
        if entry.name.startswith("."):
            left_out["names that begin with a dot"] += 1
        elif entry.name == _UNLABELLED and entry.is_dir():
            if folder / entry.name != unlabelled:
                left_out[f"files in {_UNLABELLED}"] += len(_entries(folder / entry.name))
        elif not entry.is_dir():
            left_out["files beside the label folders"] += 1
    for label in labels:
        for entry in _entries(folder / label):
            if entry.name.startswith("."):
                left_out["names that begin with a dot"] += 1
            elif entry.is_dir():
                left_out["folders within label folders"] += 1
            elif not entry.name.lower().endswith(_ENDING):
                left_out[f"files that don't end in {_ENDING}"] += 1
            else:
                if not entry.is_file():
                    require_regular(Path(entry.path), "remove it")
                files.append((label, folder / label / entry.name))
    if left_out:
        counts = ", ".join(f"{what}: {count:,}" for what, count in left_out.items())
        once.warn(f"{folder}: left out ({counts})")
    return files


def unlabelled_files(folder: Path) -> list[tuple[str, Path]]:
    """Returns "" and the path of each .txt file in a folder, sorted, and says what it leaves out.

    Raises UserError when there is none, and OSError when the folder can't be listed.
    """
    entries = [entry for entry in _entries(folder) if not entry.name.startswith(".")]
    files = [folder / entry.name for entry in entries if entry.name.lower().endswith(_ENDING)]
    if not files:
        raise Refusal(folder, f"has no file that ends in {_ENDING}; put one there for each review")
    for file in files:
        require_regular(file, "remove it")
    if len(files) < len(entries):
        once.warn(
            f"{folder}: left out what doesn't end in {_ENDING}: {len(entries) - len(files):,}"
        )
    return [("", file) for file in files]


def read(files: Iterable[tuple[str, Path]]) -> Iterator[Row]:
    """Yields a row for each review of `text_files` or `unlabelled_files`."""
    for label, file in files:
        content = file.read_bytes()
        if fault := signature.fault_of(content[: signature.SAMPLE_BYTES]):
            yield Row(f"{file}, line 1", "", label, fault)
        else:
            yield plain_row(file, 1, _decoded(content), label)


def _decoded(content: bytes) -> str:
    """Returns a file's text as Python's text files read it: with line breaks as LF."""
    text = content.decode(errors="surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
