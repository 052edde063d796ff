"""The files that --input and --output name.

source, output = places("reviews.csv", "predicted.csv")
"""

from pathlib import Path

from storage.errors import UserError
from trainer.run.bulk.formats import TABLES
from trainer.run.bulk.partial import explained

_ENDINGS = ", ".join(TABLES)


def places(source: str, output: str) -> tuple[Path, Path]:
    """Returns both paths; UserError unless one is a file of rows and the other can be made."""
    for flag, path in (("--input", source), ("--output", output)):
        if not path:
            raise UserError(f"{flag}: missing; give a file for --input and one for --output")
        if path.startswith("gs://"):
            raise UserError(f"{flag}: got {path!r}, accepted is a local file; copy it with gcloud")
    file, target = _path("--input", source), _path("--output", output)
    with explained("--input", file):
        _check_input(file)
    with explained("--output", target):
        _check_output(target, file)
    return file, target


def _path(flag: str, given: str) -> Path:
    """Returns a path, whose '~' no shell expands behind the '=' of a flag."""
    try:
        return Path(given).expanduser()
    except RuntimeError as error:  # no HOME, and no entry in the list of users
        raise UserError(
            f"{flag}: got {given!r}, but '~' is not known here; give the whole path"
        ) from error


def _check_input(file: Path) -> None:
    if not file.exists():
        raise UserError(f"--input: {file} does not exist; give a file that ends in {_ENDINGS}")
    if not file.is_file():
        raise UserError(
            f"--input: {file} is no regular file, which can be read twice; give a file, or without "
            "--input a review a line to standard input"
        )
    if file.suffix.lower() not in TABLES:
        raise UserError(f"--input: {file} ends in none of {_ENDINGS}; convert, unpack or rename it")


def _check_output(target: Path, file: Path) -> None:
    if target.is_dir():
        raise UserError(f"--output: {target} is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise UserError(f"--output: {target.parent} is no folder; create it, or give another one")
    if target.exists() and target.samefile(file):
        raise UserError(f"--output: {target} is the file of --input; give another one")
    if target.suffix.lower() != file.suffix.lower():
        raise UserError(
            f"--output: got {target.name!r}, accepted is a name that ends in {file.suffix}, since "
            "the output has the format of --input"
        )
