"""The local path that a source's argument means, and what it may be.

path = existing_path("reviews", config.data.dir, "give files:PATH with ...")
require_regular(path, "remove it")
"""

from pathlib import Path

from storage.errors import UserError


def existing_path(argument: str, start: str, advice: str) -> Path:
    """Returns the path of an argument, which is below the folder `start` when it is relative.

    '' for `start` is the working folder. Raises UserError, which ends with `advice`, when nothing
    is there.
    """
    try:
        path = Path(start, argument).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder
        raise UserError(
            f"config.data.source: got {argument!r} ({error}); give a full path that can be read"
        ) from error
    if not exists:
        below = f"config.data.dir={start}" if start else "the working folder, as config.data.dir=''"
        relative = "" if Path(argument).is_absolute() else f" (a relative path is below {below})"
        raise UserError(f"config.data.source: {path.absolute()} does not exist{relative}; {advice}")
    return path


def require_regular(path: Path, advice: str) -> None:
    """Raises UserError, which ends with `advice`, for a pipe, a device or a socket.

    A reader of one could wait forever, and could not read it twice.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(
            f"config.data.source: {path}: is neither a regular file nor a folder; {advice}"
        )
