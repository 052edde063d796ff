"""Parses a JSON object that comes from outside.

fields = json_object.parse(store.read("config.json"))
"""

import json
from typing import Any


def parse(data: bytes | str) -> dict[str, Any]:
    """Returns a JSON object; raises ValueError, with the reason, for everything else."""
    try:
        content = json.loads(data)
    except RecursionError as error:
        raise ValueError("brackets nested too deep") from error
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    return content
