"""Source kind `files:PATH`: a user's own folders of text files, CSV or JSONL files.

    reviews = open_reviews("reviews", config.data)

PATH holds for each split a folder `PATH/<split>` with text files in `pos/` and `neg/`, or a file
`PATH/<split>.csv` or `PATH/<split>.jsonl` with the columns `text` and `label`. When PATH itself is
such a folder or file, a fixed tenth of its reviews is the split `test` and the others are `train`.
A relative PATH is below `data.dir`, or below the working folder when that is ''.
"""

import contextlib
import csv
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
from absl import logging

from input_pipeline.batch_plan import held_out
from input_pipeline.sources.content import digest_of
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import Source, source_of_pairs
from storage.errors import UserError

_TEST_SHARE = 0.1
_LAYOUT = "train and test folders with pos/ and neg/, or train.csv and test.csv (or .jsonl)"


class _Row(NamedTuple):
    file: Path
    line: int
    text: Any  # a string; bytes that are not UTF-8 stand in it as lone surrogates
    label: Any


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the reviews under the path `argument`; UserError when nothing is there."""
    path = Path(data.dir, argument).expanduser()
    return TextReviews(_open_source(path, data.on_bad_text), data)


def _open_source(path: Path, on_bad_text: str) -> Source:
    if not path.exists():
        raise UserError(
            f"config.data.source: {path} does not exist; give files:PATH with {_LAYOUT}, or try "
            "--config=configs/sample.py, which needs no data"
        )
    has_no_splits = _is_set(path)

    def place_of(split: str) -> Path:
        return path if has_no_splits else _place(path, split)

    def read(split: str) -> Iterator[tuple[str, str]]:
        place = place_of(split)
        with _readable():
            reviews = _read_rows(_rows(place), place, on_bad_text)
            if has_no_splits:
                is_test, count = _is_test(split), sum(1 for _ in reviews)
                reviews = _read_rows(_rows(place), place, on_bad_text)
                reviews = itertools.compress(reviews, held_out(count, _TEST_SHARE) == is_test)
            yield from reviews

    def fingerprint(split: str) -> str:
        place = place_of(split)
        files = sorted(place.glob("*/*.txt")) if place.is_dir() else [place]
        named = ((str(file.relative_to(place.parent)), file) for file in files)
        with _readable():
            return digest_of([split, on_bad_text], named)

    return source_of_pairs(fingerprint, read)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"config.data.source: {error.filename}: {error.strerror}; repair or remove the file"
        ) from error


def _is_set(path: Path) -> bool:
    """Returns True for a file, and for a folder with pos/ and neg/."""
    return path.is_file() or ((path / "pos").is_dir() and (path / "neg").is_dir())


def _is_test(split: str) -> bool:
    if split not in ("train", "test"):
        raise UserError(f"config.data: got the split {split!r}, accepted are 'train' and 'test'")
    return split == "test"


def _place(path: Path, split: str) -> Path:
    """Returns the file or folder below `path` that holds a split; UserError when none does."""
    for place in (path / split, path / f"{split}.csv", path / f"{split}.jsonl"):
        if _is_set(place):
            return place
    raise UserError(f"config.data.source: {path} has no split {split!r}; expected are {_LAYOUT}")


def _rows(place: Path) -> Iterator[_Row]:
    if place.is_dir():
        return _folder_rows(place)
    parsers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if place.suffix not in parsers:
        raise UserError(f"config.data.source: {place} ends neither in .csv nor in .jsonl")
    return parsers[place.suffix](place)


def _folder_rows(folder: Path) -> Iterator[_Row]:
    for label in ("neg", "pos"):
        for file in sorted((folder / label).glob("*.txt")):
            text = file.read_text(encoding="utf-8", errors="surrogateescape")
            yield _Row(file, 1, text, label)


def _csv_rows(file: Path) -> Iterator[_Row]:
    csv.field_size_limit(2**31 - 1)  # characters; the default of 131,072 refuses long reviews
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            if not {"text", "label"} <= set(reader.fieldnames or ()):
                raise UserError(
                    f"config.data.source: {file} has the columns {reader.fieldnames}, but 'text' "
                    "and 'label' are needed; name them in its first line"
                )
            for row in reader:
                # `line_num` is a row's last line; a quoted text may span several lines.
                line = reader.line_num - sum(str(text).count("\n") for text in row.values())
                yield _Row(file, line, row["text"], row["label"])
        except csv.Error as error:
            raise UserError(
                f"config.data.source: {file}, line {reader.line_num}: {error}; repair the line"
            ) from error


def _jsonl_rows(file: Path) -> Iterator[_Row]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        for line, content in enumerate(lines, 1):
            if not content.strip():
                continue
            try:
                row = json.loads(content)
                yield _Row(file, line, row["text"], row["label"])
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise UserError(
                    f"config.data.source: {file}, line {line}: expected a JSON object with 'text' "
                    f"and 'label' ({type(error).__name__}: {error})"
                ) from error


def _read_rows(rows: Iterator[_Row], place: Path, on_bad_text: str) -> Iterator[tuple[str, str]]:
    """Yields the rows as (text, label); UserError with file and line for one that can't be used.

    With `on_bad_text` "skip", rows that are not UTF-8 are left out and counted in a warning.
    """
    skipped = 0
    for file, line, text, label in rows:
        if not isinstance(text, str):
            raise UserError(f"config.data.source: {file}, line {line}: no text; repair the line")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            if on_bad_text == "fail":
                if file.suffix != ".jsonl":  # JSON writes a line break as \\n
                    line += text[: error.start].count("\n")
                raise UserError(
                    f"config.data.source: {file}, line {line}: not UTF-8; convert the file, or "
                    "skip such reviews with --config.data.on_bad_text=skip"
                ) from error
            skipped += 1
            continue
        name = _label_name(label)
        if name is None:
            raise UserError(
                f"config.data.source: {file}, line {line}: got the label {label!r}; accepted is a "
                "name or number"
            )
        yield text, name
    if skipped:
        logging.warning("%s: skipped %d reviews that are not UTF-8", place, skipped)


def _label_name(label: Any) -> str | None:
    """Returns the name of a label as a file gives it, or None for one that names nothing."""
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    if isinstance(label, bool | int | float):
        label = json.dumps(label)
    if not isinstance(label, str):
        return None
    name = label.strip()
    return name if name and not any(mark in name for mark in "\n\r\t") else None
