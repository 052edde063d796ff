"""The required fields that a request to one of Google's services lacks.

    missing(CreateCustomJobRequest(parent="...")) == ["custom_job"]

The services' .proto files mark such fields with `google.api.field_behavior = REQUIRED`, and the
comments of these fields begin with "Required.". The Python clients' descriptors have no options,
but their docstrings are those comments. They name the same fields as custom_job.proto of
googleapis/googleapis.
"""

import re

import proto

_REQUIRED = re.compile(r"^ +(\w+) \([^\n]*\):\n +Required\.", re.MULTILINE)


def missing(message: proto.Message, path: str = "") -> list[str]:
    """Returns the paths of required fields that are not set, in all messages that are set."""
    present = {field.name for field, _ in type(message).pb(message).ListFields()}
    names = _REQUIRED.findall(type(message).__doc__)
    found = [path + name for name in names if name not in present]
    for name in sorted(present):
        found += _missing_in(getattr(message, name), path + name)
    return found


def _missing_in(value, path):
    if isinstance(value, proto.Message):
        return missing(value, f"{path}.")
    if isinstance(value, str | bytes | int | float):
        return []
    if hasattr(value, "values"):
        return [m for key, v in value.items() for m in _missing_in(v, f"{path}[{key!r}]")]
    if hasattr(value, "__getitem__"):
        return [m for i, v in enumerate(value) for m in _missing_in(v, f"{path}[{i}]")]
    return []
