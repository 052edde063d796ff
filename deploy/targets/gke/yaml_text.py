"""YAML that every reader understands alike: Kubernetes and Python have different parsers.

text = dump({"kind": "JobSet", ...})
"""

import math
from typing import Any

import yaml


def dump(content: dict[str, Any]) -> str:
    """Returns the content as YAML, with keys in their order and texts of several lines readable."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=math.inf)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as literal blocks, and every value in full, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    # No quotes only where every parser reads a text: to some, `1e3` is a number and `y` is true.
    plain = len(value) > 2 and value[0].isalpha()
    style = "|" if "\n" in value else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
