"""Reviews in a user's own files. See `input_pipeline.sources` for their layout.

reader = open_files(Path("reviews"), on_bad_text="fail")
reader.read("train")      # [("A fine film.", 1), ...]
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from input_pipeline.batch_plan import held_out
from storage.errors import UserError

_LABELS = {"1": 1, "pos": 1, "positive": 1, "0": 0, "neg": 0, "negative": 0}
_TEST_SHARE = 0.1
_LAYOUT = "train and test folders with pos/ and neg/, or train.csv and test.csv (or .jsonl)"


class Reader(NamedTuple):
    """Reviews of a split, and a text that changes when they do."""

    read: Callable[[str], list[tuple[str, int]]]
    fingerprint: Callable[[str], str]


class _Row(NamedTuple):
    file: Path
    line: int
    text: Any  # a string; bytes that are not UTF-8 stand in it as lone surrogates
    label: Any


def open_files(path: Path, on_bad_text: str) -> Reader:
    """Reads the reviews under `path`; UserError when it is not there or not as it should be."""
    if not path.exists():
        raise UserError(
            f"config.data.source: {path} is not there; give files:PATH with {_LAYOUT}, or try "
            "--config=configs/sample.py, which needs no data"
        )
    whole = _is_set(path)

    def place_of(split: str) -> Path:
        return path if whole else _place(path, split)

    def read(split: str) -> list[tuple[str, int]]:
        place = place_of(split)
        try:
            reviews = _checked(_rows(place), place, on_bad_text)
        except OSError as error:
            raise UserError(
                f"config.data.source: {error.filename}: {error.strerror}; mend or remove the file"
            ) from error
        if whole:
            wanted = held_out(len(reviews), _TEST_SHARE) == _is_test(split)
            reviews = [review for review, keep in zip(reviews, wanted, strict=True) if keep]
        return reviews

    def fingerprint(split: str) -> str:
        place = place_of(split)
        files = sorted(place.glob("*/*.txt")) if place.is_dir() else [place]
        stats = [(str(f), *_size_and_time(f)) for f in files]
        return json.dumps([str(place.absolute()), split, on_bad_text, stats])

    return Reader(read, fingerprint)


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        return file.stat().st_size, file.stat().st_mtime_ns
    except OSError:
        return -1, -1  # reading it says what is wrong


def _is_set(path: Path) -> bool:
    return path.is_file() or ((path / "pos").is_dir() and (path / "neg").is_dir())


def _is_test(split: str) -> bool:
    if split not in ("train", "test"):
        raise UserError(f"config.data: got the split {split!r}, accepted are 'train' and 'test'")
    return split == "test"


def _place(path: Path, split: str) -> Path:
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
    csv.field_size_limit(2**31 - 1)  # a long review is no error
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            if not {"text", "label"} <= set(reader.fieldnames or ()):
                raise UserError(
                    f"config.data.source: {file} has the columns {reader.fieldnames}, but 'text' "
                    "and 'label' are needed; name them in its first line"
                )
            for row in reader:
                # `line_num` is the last line of a row, whose quoted texts may go over several.
                line = reader.line_num - sum(str(text).count("\n") for text in row.values())
                yield _Row(file, line, row["text"], row["label"])
        except csv.Error as error:
            raise UserError(
                f"config.data.source: {file}, line {reader.line_num}: {error}; mend the line"
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


def _checked(rows: Iterator[_Row], place: Path, on_bad_text: str) -> list[tuple[str, int]]:
    """(text, label) of the rows; UserError with file and line for one that can't be used."""
    reviews, skipped = [], 0
    for file, line, text, label in rows:
        if not isinstance(text, str):
            raise UserError(f"config.data.source: {file}, line {line}: no text; mend the line")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            if on_bad_text == "fail":
                if file.suffix != ".jsonl":  # where a line break stands as \\n
                    line += text[: error.start].count("\n")
                raise UserError(
                    f"config.data.source: {file}, line {line}: not UTF-8; convert the file, or "
                    "skip such reviews with --config.data.on_bad_text=skip"
                ) from error
            skipped += 1
            continue
        number = _LABELS.get(str(label).strip().lower())
        if number is None:
            raise UserError(
                f"config.data.source: {file}, line {line}: got the label {label!r}, accepted are "
                + ", ".join(_LABELS)
            )
        reviews.append((text, number))
    if skipped:
        logging.warning("%s: skipped %d reviews that are not UTF-8", place, skipped)
    return reviews
