"""The `fields` parameter of the JSON API: which parts of a resource an answer has.

    selected(resource, "items(name,metadata/*),nextPageToken")

https://cloud.google.com/storage/docs/json_api#partial-response
"""

import re
from typing import Any

from tests.fakes.gcs_rules import invalid

_TOKEN = re.compile(r"[^,/()]+|[,/()]")


def selected(resource: dict[str, Any], fields: str) -> dict[str, Any]:
    """Returns the parts of a resource that `fields` selects; Refused when it can't be parsed."""
    tokens = _TOKEN.findall(fields)
    tree = _list(tokens)
    if tokens:
        raise invalid(f"Invalid field selection {fields}")
    return _part(resource, tree)


def _list(tokens: list[str]) -> dict[str, Any]:
    """Parses `a,b/c,d(e,f)` into {"a": {}, "b": {"c": {}}, "d": {"e": {}, "f": {}}}."""
    tree: dict[str, Any] = {}
    while True:
        _path(tokens, tree)
        if not tokens or tokens[0] != ",":
            return tree
        tokens.pop(0)


def _path(tokens: list[str], tree: dict[str, Any]) -> None:
    if not tokens or tokens[0] in ",/()":
        raise invalid("Invalid field selection")
    below = tree.setdefault(tokens.pop(0), {})
    if tokens and tokens[0] == "/":
        tokens.pop(0)
        _path(tokens, below)
    elif tokens and tokens[0] == "(":
        tokens.pop(0)
        below |= _list(tokens)
        if not tokens or tokens.pop(0) != ")":
            raise invalid("Invalid field selection")


def _part(value: Any, tree: dict[str, Any]) -> Any:
    """Returns the selected part; all of it when nothing below is selected."""
    if not tree:
        return value
    if isinstance(value, list):
        return [_part(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        k: _part(v, tree.get(k, tree.get("*"))) for k, v in value.items() if {k, "*"} & set(tree)
    }
