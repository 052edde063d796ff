"""The points of a grid over fields of a config, checked before anything starts.

    grid = parse("model.dropout=0.2,0.4;model.layer_sizes=(128,64),(64,)", config)
    grid["model.layer_sizes"]                   # ((128, 64), (64,))
    all_points(grid)                            # the last field changes first
    drawn_points(grid, count=3, seed=0)         # the same three for the same seed

Fields are separated by `;` and values by `,`. A value is written as for a flag of the field, a
tuple always in brackets. Quotes keep a comma or semicolon within a text: 'tensorboard,wandb'.
"""

import difflib
import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from configs.schema import command_line, rules
from storage.errors import UserError

Grid = Mapping[str, Sequence[Any]]  # the values of each field
Point = dict[str, Any]  # a value for each field

_BRACKETS, _QUOTES = {"(": ")", "[": "]"}, "'\""


def parse(text: str, config: ml_collections.ConfigDict) -> dict[str, tuple]:
    """Returns the values of each field of a grid, in the order given.

    Raises UserError for a field that is unknown or given twice, and for a value that its field
    doesn't accept or that is given twice. `config` says of which type each field is.
    """
    grid: dict[str, tuple] = {}
    for part in filter(None, _split(text, ";")):
        field, equals, values = (piece.strip() for piece in part.partition("="))
        field = field.removeprefix("--").removeprefix("config.")
        if not equals:
            raise UserError(f"--grid: got {part!a}, accepted is FIELD=VALUE,VALUE;FIELD=...")
        _require_field(field)
        if field in grid:
            raise UserError(f"--grid: {field} is given twice; give all its values at once")
        grid[field] = _values(field, values, config)
    return grid


def size(grid: Grid) -> int:
    """Returns the number of points."""
    return math.prod(len(values) for values in grid.values())


def all_points(grid: Grid) -> list[Point]:
    """Returns every point; the last field changes first."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def drawn_points(grid: Grid, count: int, seed: int) -> list[Point]:
    """Returns `count` different random points, at most `size`; more begin with the same ones.

    The place of the k-th draw in the grid is a hash of (seed, k); one drawn before is skipped.
    """
    places = dict.fromkeys(itertools.islice(_distinct(size(grid), seed), count))
    return [_point(grid, place) for place in places]


def _distinct(bound: int, seed: int) -> Iterator[int]:
    """Yields each of the numbers below `bound` once, in a random order."""
    seen: set[int] = set()
    for draw in itertools.count():
        digest = hashlib.sha256(f"{seed} {draw}".encode()).digest()
        place = int.from_bytes(digest, "big") % bound
        if place not in seen:
            seen.add(place)
            yield place
        if len(seen) == bound:
            return


def _point(grid: Grid, place: int) -> Point:
    """Returns the point that `all_points` has at a place."""
    point = {}
    for field, values in reversed(list(grid.items())):
        place, digit = divmod(place, len(values))
        point[field] = values[digit]
    return {field: point[field] for field in grid}


def _require_field(field: str) -> None:
    if field not in rules.RULES:
        near = difflib.get_close_matches(field, rules.RULES, n=1)
        hint = f"did you mean {near[0]}?" if near else "configs/default.py holds them all"
        raise UserError(f"--grid: config.{field}: no such field; {hint}")


def _values(field: str, text: str, config: ml_collections.ConfigDict) -> tuple:
    rule, is_tuple = rules.RULES[field], isinstance(rules.flatten(config)[field], tuple)
    values: list[Any] = []
    for word in _split(text, ","):
        if is_tuple and word[:1] not in _BRACKETS:
            raise UserError(
                f"--grid: config.{field}: got {word!a}, accepted are tuples in brackets, such as "
                f"{field}=(128,64),(64,)"
            )
        value = command_line.parsed_value(config, field, _unquoted(word))
        if not rule.allows(value):
            raise UserError(f"--grid: config.{field}: got {word!a}, accepted is {rule.accepted}")
        if value in values:
            raise UserError(f"--grid: config.{field}: {word} is given twice")
        values.append(value)
    return tuple(values)


def _unquoted(word: str) -> str:
    """Returns a word without the quotes around it."""
    is_quoted = len(word) > 1 and word[0] in _QUOTES and word[-1] == word[0]
    return word[1:-1] if is_quoted else word


def _split(text: str, separator: str) -> list[str]:
    """Returns the parts between the separators that are outside brackets and quotes.

    Raises UserError for one that is not closed.
    """
    parts, open_until = [""], ""
    for character in text:
        if open_until:
            open_until = "" if character == open_until else open_until
        elif character in _QUOTES:
            open_until = character
        elif character in _BRACKETS:
            open_until = _BRACKETS[character]
        elif character == separator:
            parts.append("")
            continue
        parts[-1] += character
    if open_until:
        raise UserError(f"--grid: got {text!a}, in which a {open_until} is missing")
    return [part.strip() for part in parts]
