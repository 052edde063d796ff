"""YAML that says the same to every reader, as Kubernetes's and Python's are two.

text = dump({"kind": "JobSet", ...})
"""

import math
from typing import Any

import yaml


def dump(content: dict[str, Any]) -> str:
    """Keys stay in their order, and texts of several lines as they are."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=math.inf)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as they are; no references from one place to another."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # Plain only what is a text to every reader of YAML: to some `1e3` is a number and `y` is true.
    plain = len(value) > 2 and value[0].isalpha()
    style = "|" if "\n" in value else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
