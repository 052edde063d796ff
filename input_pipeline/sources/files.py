"""Source kind `files:PATH`: a user's own folders of text files, CSV, JSONL or Parquet files.

    reviews = open_reviews("reviews", config.data)

PATH holds for each split a folder `PATH/<split>`, whose subfolders are the labels and hold text
files, or a file `PATH/<split>.csv` (.jsonl, .parquet) with the columns `data.text_column` and
`data.label_column`. When PATH itself is such a folder or file, or a folder with nothing but such a
file, a fixed tenth of its reviews is the split `test` and the others are `train`. A relative PATH
is below `data.dir`, or below the working folder when that is ''.

The split `data.unlabelled_split`, such as `unsup` or `train/unsup`, is a folder of text files, or a
file of which only the texts are read.
"""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import ml_collections
import numpy as np

from input_pipeline.batch_plan import held_out
from input_pipeline.sources import once
from input_pipeline.sources.content import digest_of
from input_pipeline.sources.formats import csv_file, folder, jsonl_file, parquet_file, signature
from input_pipeline.sources.formats.row import Columns, Refusal, Row, label_name, listed
from input_pipeline.sources.paths import existing_path, require_regular
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import (
    Source,
    field_of,
    source_of_pairs,
    warn_of_blank_texts,
)
from storage.errors import UserError

_FORMATS = {".csv": csv_file.read, ".jsonl": jsonl_file.read, ".parquet": parquet_file.read}
_SPLITS = ("train", "test")
_TEST_SHARE = 0.1  # of a set without splits
_LAYOUT = (
    "a PATH that holds train and test, each as a folder with a folder of .txt files for each "
    f"label or as a file ({', '.join(_FORMATS)}), or that is one such folder or file"
)
_UNPACK = f"unpack it to a file that ends in {', '.join(_FORMATS)}"


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the reviews under the path `argument`; UserError when nothing is there."""
    with _readable():
        return TextReviews(_open_source(argument, data), data)


def _open_source(argument: str, data: ml_collections.ConfigDict) -> Source:
    advice = f"give {_LAYOUT}, or try --config=configs/sample.py, which needs no data"
    path = existing_path(argument, data.dir, advice)
    require_regular(path, _UNPACK)
    has_splits = path.is_dir() and _has_splits(path, data)
    if path.is_dir() and not has_splits:
        path = _only_file(path) or path
    unlabelled = path / data.unlabelled_split if data.unlabelled_split else None
    is_set = not has_splits and (path.is_file() or len(folder.label_folders(path, unlabelled)) > 1)
    columns = Columns(data.text_column, data.label_column)

    def place_of(split: str) -> Path:
        # A folder of labels may hold one more folder, of the reviews without labels.
        if not is_set or (path.is_dir() and split == data.unlabelled_split):
            place = _place(path, split, field_of(split, data))
        elif split in _SPLITS:
            place = path
        else:
            raise UserError(
                f"{field_of(split, data)}: got {split!r}, accepted are 'train' and 'test', since "
                f"{path} has no folders or files for splits"
            )
        require_regular(place, _UNPACK)
        return place

    def files_in(place: Path, labelled: bool) -> list[tuple[str, Path]]:
        return folder.text_files(place, unlabelled) if labelled else folder.unlabelled_files(place)

    def pairs(place: Path, labelled: bool = True) -> Iterator[tuple[str, str]]:
        if place.is_dir():
            rows = folder.read(files_in(place, labelled))
        else:
            rows = _rows_of_file(place, columns, labelled)
        return _checked(rows, place, data.on_bad_text, labelled)

    def read(split: str) -> Iterator[tuple[str, str]]:
        with _readable():
            place = place_of(split)
            reviews = pairs(place, labelled=split != data.unlabelled_split)
            if place == path:
                count = sum(1 for _ in pairs(place))
                reviews = itertools.compress(reviews, _drawn(place, count, split))
            yield from reviews

    def fingerprint(split: str) -> str:
        with _readable():
            place = place_of(split)
            labelled = split != data.unlabelled_split
            files = [place]
            if place.is_dir():
                files = [file for _, file in files_in(place, labelled)]
            named = ((str(file.relative_to(place.parent)), file) for file in files)
            read = columns if labelled else (columns.text,)
            return digest_of([place == path and split, data.on_bad_text, *read], named)

    return source_of_pairs(fingerprint, read)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turns the error of a file or folder that can't be read into a UserError."""
    try:
        yield
    except OSError as error:
        raise Refusal(error.filename, f"{error.strerror}; repair or remove it") from error


def _has_splits(path: Path, data: ml_collections.ConfigDict) -> bool:
    """Returns True for a folder with splits, and warns of entries that belong to none.

    Raises UserError when a split that is to be read seems to have its name in another spelling.
    """
    read = {data.train_split, data.test_split}
    entries = _entries(path)
    splits = [_split_of(entry) for entry in entries]
    missing = read.intersection(_SPLITS).difference(splits)
    spellings = {split + ending for split in missing for ending in ("", "ing")}
    alike = [entry.name for entry in entries if _split_of(entry).lower() in spellings]
    if alike:
        raise Refusal(path, f"holds {listed(alike)}; name the splits exactly 'train' and 'test'")
    *named, last = filter(None, (data.train_split, data.test_split, data.unlabelled_split))
    known = {*_SPLITS, *named, last}
    others = [entry.name for entry in entries if _split_of(entry) not in known]
    has_splits = bool({*_SPLITS, *read}.intersection(splits))
    if others and has_splits:
        once.warn(
            f"{path}: left out {listed(others)}; only the splits {listed(named)} and {last!r} are "
            "read, and validation reviews are a part of train: config.data.validation_share"
        )
    return has_splits


def _entries(path: Path) -> list[Path]:
    """Returns what a folder holds, sorted, without names that begin with a dot."""
    return sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))


def _split_of(entry: Path) -> str:
    """Returns the name of the split that a folder or a file would hold; "" for another file."""
    if entry.is_dir():
        return entry.name
    return entry.stem if entry.suffix.lower() in _FORMATS else ""


def _places(path: Path, split: str) -> list[Path]:
    """Returns the folder and files below `path` that are named after a split."""
    return [entry for entry in _entries(path) if _split_of(entry) == split]


def _only_file(path: Path) -> Path | None:
    """Returns the file of a known format that is alone in a folder, or None."""
    entries = _entries(path)
    is_alone = len(entries) == 1 and entries[0].is_file()
    return entries[0] if is_alone and entries[0].suffix.lower() in _FORMATS else None


def _place(path: Path, split: str, field: str) -> Path:
    """Returns the folder or file below `path` that holds a split; UserError without just one."""
    above, _, inner = split.partition("/")
    if inner and _split_of(path / above) == above and (path / above).is_dir():
        return _place(path / above, inner, field)
    places = _places(path, split)
    if len(places) == 1:
        return places[0]
    if places:
        found = " and ".join(place.name for place in places)
        raise Refusal(path, f"holds {found}, all for the split {split!r}; keep one")
    held = listed([entry.name for entry in _entries(path)]) or "nothing"
    if split not in _SPLITS:
        raise UserError(
            f"{field}: {path} has no split {split!r}, it holds {held}; accepted is the name of a "
            "folder or file in it"
        )
    raise Refusal(path, f"has no split {split!r}, it holds {held}; give {_LAYOUT}")


def _drawn(place: Path, reviews: int, split: str) -> np.ndarray:
    """Returns which reviews of a set without splits belong to a split, <bool>[reviews]."""
    drawn = held_out(reviews, _TEST_SHARE) == (split == "test")
    if not drawn.any():
        raise Refusal(
            place,
            f"has too few reviews ({reviews}) to take a tenth as the split {split!r}; add reviews, "
            f"or give {_LAYOUT}",
        )
    return drawn


def _rows_of_file(place: Path, columns: Columns, labelled: bool) -> Iterator[Row]:
    if not labelled:
        columns = Columns(columns.text, columns.text)  # its labels are not read
    if place.suffix.lower() not in _FORMATS:
        signature.check_is_utf8(place)
        raise Refusal(place, f"ends in none of {', '.join(_FORMATS)}; convert or rename it")
    return _FORMATS[place.suffix.lower()](place, columns)


def _checked(
    rows: Iterator[Row], place: Path, on_bad_text: str, labelled: bool
) -> Iterator[tuple[str, str]]:
    """Yields the text and the label's name of each row; UserError for a row that can't be used.

    Without labels the name is "". With `on_bad_text` "skip", rows that are not UTF-8 are left out
    and counted in a warning, as rows without a text are. UserError, too, when no row is left.
    """
    used = skipped = blank = 0
    for row in rows:
        if not row.fault:
            used += 1
            blank += not row.text.strip()
            yield row.text, label_name(row) if labelled else ""
        elif on_bad_text == "skip":
            skipped += 1
        else:
            raise Refusal(
                row.where,
                f"{row.fault}, or skip such reviews with --config.data.on_bad_text=skip",
            )
    if skipped:
        once.warn(f"{place}: skipped {skipped:,} reviews that are not UTF-8")
    warn_of_blank_texts(place, blank)
    if not used:
        raise Refusal(place, f"has no reviews{_reason_of_none(place, skipped)}")


def _reason_of_none(place: Path, skipped: int) -> str:
    """Returns the rest of an error about a folder or file of which no review can be used."""
    if skipped:
        return f" that are UTF-8, {skipped:,} skipped; convert them"
    if place.is_dir():
        return "; put a file that ends in .txt into a label's folder for each review"
    return "; write some to the file, or give another PATH"
