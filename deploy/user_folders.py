"""The folders of a user's files, as the XDG Base Directory Specification names them.

path = user_folder("XDG_CONFIG_HOME", "~/.config") / "longhaul"
"""

import os
from pathlib import Path


def user_folder(variable: str, default: str) -> Path:
    """Returns the folder that an environment variable names, or else the default.

    A user without a home folder has none of the latter: its path then leads nowhere.
    """
    if given := os.environ.get(variable):
        return Path(given)
    try:
        return Path(default).expanduser()
    except RuntimeError:
        return Path("/nonexistent") / default.removeprefix("~/")
