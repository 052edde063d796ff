"""The digest of what a source reads.

digest_of(["train", "fail"], [("train.csv", path)])
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from storage import checksum


def digest_of(settings: Any, files: Iterable[tuple[str, Path]]) -> str:
    """Returns a SHA-256 in hex over the names and bytes of files and the settings to read them by.

    Args:
        settings: whatever else decides what is read, as values that JSON can represent.
        files: the name of each file, wherever its folder is, and its path.

    Raises OSError for a file that can't be read.
    """
    whole = hashlib.sha256(json.dumps(settings).encode())
    for name, path in files:
        with path.open("rb") as file:
            content = checksum.sha256(file)
        whole.update(json.dumps([name, content.hex()]).encode())
    return whole.hexdigest()
