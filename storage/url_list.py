r"""Folders and URLs in one flag, with commas between; a comma in a name is written as `\,`.

split("--workdir", "runs/a,runs/b")     # ["runs/a", "runs/b"]
split("--workdir", r"runs/a\,b")        # ["runs/a,b"]
quoted("runs/a,b")                      # r"runs/a\,b"
"""

import re

from storage.errors import UserError

_COMMA = re.compile(r"(?<!\\),")


def split(flag: str, value: str) -> list[str]:
    """Returns the folders and URLs in the value of `flag`; UserError for an empty one."""
    parts = [part.replace(r"\,", ",") for part in _COMMA.split(value)]
    if not all(parts):
        raise UserError(
            f"{flag}: got {value!r}, which has an empty part; give a folder or URL on "
            "both sides of a comma"
        )
    return parts


def quoted(url: str) -> str:
    """Returns a folder or URL as a flag's value that `split` reads as this one."""
    return url.replace(",", r"\,")
