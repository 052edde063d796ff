"""Reads a JSONL file: a JSON object in each line.

for row in read(Path("train.jsonl"), Columns("text", "label")): ...
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from input_pipeline.sources.formats.row import NOT_UTF8, Columns, Refusal, Row, is_unicode, shown
from input_pipeline.sources.formats.signature import check_is_utf8

_HALF_A_PAIR = "half of a surrogate pair in the text; repair the line"


def read(file: Path, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a file, with the line of each."""
    for where, line in lines(file):
        yield _row(where, line, columns)


def lines(file: Path) -> Iterator[tuple[str, str]]:
    """Yields (place, line) of each line that is not blank, such as ("train.jsonl, line 3", "{}").

    Bytes that are not UTF-8 become halves of surrogate pairs.
    """
    check_is_utf8(file)
    with file.open(encoding="utf-8-sig", errors="surrogateescape") as content:
        for number, line in enumerate(content, 1):
            if line.strip():
                yield f"{file}, line {number}", line


def _row(where: str, line: str, columns: Columns) -> Row:
    found = parse(where, line)
    if not {columns.text, columns.label} <= found.keys():
        raise columns.missing(where, "keys", list(found))
    text = found[columns.text]
    if fault := fault_of_kind(text, columns.text):
        raise Refusal(where, fault)
    return Row(where, text, found[columns.label], fault_of_encoding(text, line))


def fault_of_kind(value: Any, key: str) -> str:
    """Returns why the value of `key` is no text, and what to do; "" when it is one."""
    if isinstance(value, str):
        return ""
    return f"no text, {key!r} is {_kind(value)}; repair the line"


def fault_of_encoding(text: str, line: str) -> str:
    """Returns why the text in a line is not Unicode, and what to do; "" when it is."""
    if is_unicode(text):
        return ""
    return _HALF_A_PAIR if is_unicode(line) else NOT_UTF8


def parse(where: str, line: str) -> dict[str, Any]:
    """Returns the JSON object of a line; Refusal, with the place `where`, for anything else."""
    found = _value(where, line)
    if not isinstance(found, dict):
        raise Refusal(
            where, f"expected a JSON object, got {_kind(found)}; give one JSON object a line"
        )
    return found


def _value(where: str, line: str) -> Any:
    try:
        return json.loads(
            line, parse_constant=_refuse, parse_int=_number, object_pairs_hook=_without_doubles
        )
    except RecursionError as error:
        raise Refusal(where, "brackets nested too deep; repair the line") from error
    except json.JSONDecodeError as error:
        reason = f"no JSON ({error.msg} at character {error.pos + 1})"
        raise Refusal(where, f"{reason}; give one JSON object a line") from error
    except ValueError as error:
        raise Refusal(where, f"{error}; repair the line") from error


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _number(digits: str) -> int:
    try:
        return int(digits)
    except ValueError as error:  # Python limits the length, against attacks
        raise ValueError(f"a number of {len(digits):,} digits is too long") from error


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        doubled = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(doubled)} occurs twice")
    return found


def _kind(value: Any) -> str:
    """Returns what JSON calls a value that it holds, with its article."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = ((dict, "an object"), (list, "a list"), (str, "a text"))
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
