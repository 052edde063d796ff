"""Short names for runs: the ends of their workdirs' paths, as long as they need to be to differ.

short_names(["runs/a/imdb", "runs/b/imdb"], "--compare")    # ["a/imdb", "b/imdb"]
"""

import re
from collections.abc import Sequence

from storage.errors import UserError


def short_names(urls: Sequence[str], flag: str) -> list[str]:
    """Returns a distinct name for each workdir.

    Raises UserError, which names `flag`, when one is given twice.
    """
    paths = [[part for part in re.split(r"/+", url) if part not in ("", ".")] for url in urls]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise UserError(
                f"{flag}: the workdir {urls[place]!r} is given twice; give each workdir once"
            )
    return ["/".join(path[-_needed(path, paths) :]) for path in paths]


def _needed(path: list[str], paths: Sequence[list[str]]) -> int:
    """Returns how many parts at the end of a path no other path has in common with it."""
    others = [other for other in paths if other is not path]
    lengths = range(1, len(path) + 1)
    distinct = (n for n in lengths if all(other[-n:] != path[-n:] for other in others))
    return next(distinct, len(path))
