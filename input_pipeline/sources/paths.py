"""The local path that a source's argument means.

path = existing_path("reviews", config.data.dir, "give files:PATH with ...")
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
