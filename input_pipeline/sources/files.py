"""Source kind `files:PATH`: a user's own folders of text files, CSV, JSONL or Parquet files.

    reviews = open_reviews("reviews", config.data)

PATH holds for each split a folder `PATH/<split>`, whose subfolders are the labels and hold text
files, or a file `PATH/<split>.csv` (.jsonl, .parquet) with the columns `data.text_column` and
`data.label_column`. When PATH itself is such a folder or file, or a folder with nothing but such a
file, a fixed tenth of its reviews is the split `test` and the others are `train`. A relative PATH
is below `data.dir`, or below the working folder when that is ''.
"""

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import ml_collections

from input_pipeline.batch_plan import held_out
from input_pipeline.sources import once
from input_pipeline.sources.content import digest_of
from input_pipeline.sources.formats import csv_file, folder, jsonl_file, parquet_file, signature
from input_pipeline.sources.formats.row import Columns, Row, label_name, refusal
from input_pipeline.sources.paths import existing_path
from input_pipeline.sources.reviews import TextReviews
from input_pipeline.sources.source import Source, source_of_pairs

_FORMATS = {".csv": csv_file.read, ".jsonl": jsonl_file.read, ".parquet": parquet_file.read}
_SPLITS = ("train", "test")
_TEST_SHARE = 0.1  # of a set without splits
_LAYOUT = (
    "a PATH that holds train and test, each as a folder with a folder of .txt files for each "
    f"label or as a file ({', '.join(_FORMATS)}), or that is one such folder or file"
)
_MOST_NAMED = 5  # entries of a folder that a message names


def open_reviews(argument: str, data: ml_collections.ConfigDict) -> TextReviews:
    """Opens the reviews under the path `argument`; UserError when nothing is there."""
    with _readable():
        return TextReviews(_open_source(argument, data), data)


def _open_source(argument: str, data: ml_collections.ConfigDict) -> Source:
    advice = f"give {_LAYOUT}, or try --config=configs/sample.py, which needs no data"
    path = existing_path(argument, data.dir, advice)
    has_splits = path.is_dir() and any(_places(path, split) for split in _SPLITS)
    if path.is_dir() and not has_splits:
        path = _only_file(path) or path
    is_set = not has_splits and (path.is_file() or len(folder.label_folders(path)) > 1)
    columns = Columns(data.text_column, data.label_column)

    def place_of(split: str) -> Path:
        if is_set and split not in _SPLITS:
            raise refusal(path, f"got the split {split!r}, accepted are 'train' and 'test'")
        return path if is_set else _place(path, split)

    def pairs(place: Path) -> Iterator[tuple[str, str]]:
        return _checked(_rows(place, columns), place, data.on_bad_text)

    def read(split: str) -> Iterator[tuple[str, str]]:
        with _readable():
            place = place_of(split)
            reviews = pairs(place)
            if is_set:
                is_test = held_out(sum(1 for _ in pairs(place)), _TEST_SHARE)
                reviews = itertools.compress(reviews, is_test == (split == "test"))
            yield from reviews

    def fingerprint(split: str) -> str:
        with _readable():
            place = place_of(split)
            files = [place]
            if place.is_dir():
                files = [file for _, file in folder.text_files(place)]
            named = ((str(file.relative_to(place.parent)), file) for file in files)
            return digest_of([is_set and split, data.on_bad_text, *columns], named)

    return source_of_pairs(fingerprint, read)


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Turns the error of a file or folder that can't be read into a UserError."""
    try:
        yield
    except OSError as error:
        raise refusal(error.filename, f"{error.strerror}; repair or remove it") from error


def _places(path: Path, split: str) -> list[Path]:
    """Returns the folder and files below `path` that are named after a split."""
    return sorted(
        entry
        for entry in path.iterdir()
        if (entry.name == split and entry.is_dir())
        or (entry.stem == split and entry.suffix.lower() in _FORMATS)
    )


def _only_file(path: Path) -> Path | None:
    """Returns the file of a known format that is alone in a folder, or None."""
    entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    is_alone = len(entries) == 1 and entries[0].is_file()
    return entries[0] if is_alone and entries[0].suffix.lower() in _FORMATS else None


def _place(path: Path, split: str) -> Path:
    """Returns the folder or file below `path` that holds a split; UserError without just one."""
    places = _places(path, split)
    if len(places) == 1:
        return places[0]
    if places:
        found = " and ".join(place.name for place in places)
        raise refusal(path, f"holds {found}, all for the split {split!r}; keep one")
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    held = ", ".join(map(repr, names[:_MOST_NAMED])) or "nothing"
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    raise refusal(path, f"has no split {split!r}, it holds {held}{more}; give {_LAYOUT}")


def _rows(place: Path, columns: Columns) -> Iterator[Row]:
    if place.is_dir():
        return folder.read(place)
    if place.suffix.lower() not in _FORMATS:
        signature.check_is_utf8(place)
        raise refusal(place, f"ends in none of {', '.join(_FORMATS)}; convert or rename it")
    return _FORMATS[place.suffix.lower()](place, columns)


def _checked(rows: Iterator[Row], place: Path, on_bad_text: str) -> Iterator[tuple[str, str]]:
    """Yields the text and the label's name of each row; UserError for a row that can't be used.

    With `on_bad_text` "skip", rows that are not UTF-8 are left out and counted in a warning.
    """
    skipped = 0
    for row in rows:
        if not row.fault:
            yield row.text, label_name(row)
        elif on_bad_text == "skip":
            skipped += 1
        else:
            raise refusal(
                row.where,
                f"{row.fault}, or skip such reviews with --config.data.on_bad_text=skip",
            )
    if skipped:
        once.warn(f"{place}: skipped {skipped:,} reviews that are not UTF-8")
