"""Messages for the user, apart from a command's own output.

say("imdb: cancelled")
"""

import sys


def say(*lines: str) -> None:
    """Prints lines on standard error."""
    print(*lines, sep="\n", file=sys.stderr, flush=True)
