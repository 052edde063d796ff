"""Requests of TensorFlow Serving's REST interface, from bytes to texts, and their answers.

    request = parse(b'{"instances": ["A film to remember."]}', config.serving)
    request.texts                                   # (b"A film to remember.",)
    request.answer(("negative", "positive"), probabilities)     # {"predictions": [{...}]}

The form is that of https://www.tensorflow.org/tfx/serving/api_rest for a model with one input,
`text`. What it leaves open is refused: unknown and duplicate keys, NaN, an empty list.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import ml_collections
import numpy as np
from starlette.exceptions import HTTPException

INPUT = "text"
SIGNATURE = "serving_default"
_KEYS = ("instances", "inputs", "signature_name")


class PredictRequest(NamedTuple):
    """The texts of a request, and the form of its answer."""

    texts: tuple[bytes, ...]  # UTF-8
    by_row: bool  # `instances` rather than `inputs`

    def answer(self, labels: Sequence[str], probabilities: np.ndarray) -> dict[str, Any]:
        """Returns the answer's JSON object; `probabilities` are <float32>[texts, labels]."""
        numbers = probabilities.argmax(axis=1)
        columns = {
            "label": [labels[number] for number in numbers],
            "probability": probabilities.max(axis=1).tolist(),
            "labels": [list(labels)] * len(self.texts),
            "probabilities": probabilities.tolist(),
        }
        if not self.by_row:
            return {"outputs": columns}
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def parse(body: bytes, limits: ml_collections.ConfigDict) -> PredictRequest:
    """Returns the request of a body; `limits` is config.serving.

    Raises HTTPException, with code 400 for a malformed body and 413 for more texts, or longer ones,
    than the limits allow.
    """
    content = parse_object(body, _KEYS)
    if content.get("signature_name", SIGNATURE) not in ("", SIGNATURE):
        malformed(f"signature_name: accepted is {SIGNATURE!r}")
    if ("instances" in content) == ("inputs" in content):
        malformed("give 'instances' or 'inputs', one of the two")
    by_row = "instances" in content
    values = content["instances"] if by_row else _column(content["inputs"])
    if not isinstance(values, list) or not values:
        malformed("the texts: accepted is a list of at least one")
    if len(values) > limits.max_texts:
        raise HTTPException(413, f"{len(values):,} texts; at most {limits.max_texts:,} a request")
    if by_row:
        values = [_instance(value, number) for number, value in enumerate(values)]
    texts = (utf8(value, f"text {number}", limits) for number, value in enumerate(values))
    return PredictRequest(tuple(texts), by_row)


def parse_object(body: bytes, keys: Sequence[str]) -> dict[str, Any]:
    """Returns the JSON object of a body; HTTPException 400 unless it is one with these keys."""
    try:
        content = json.loads(
            body.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_int=float,  # no number is accepted, and a float may have any number of digits
        )
    except RecursionError:
        malformed("the body: brackets nested too deep")
    except UnicodeDecodeError as error:
        malformed(f"the body: not UTF-8 at byte {error.start}")
    except ValueError as error:
        malformed(f"the body: not JSON ({error})")
    if not isinstance(content, dict):
        malformed("the body: accepted is a JSON object")
    if unknown := sorted(content.keys() - set(keys)):
        malformed(f"unknown key {_shown(unknown[0])}; accepted are {', '.join(keys)}")
    return content


def utf8(value: Any, name: str, limits: ml_collections.ConfigDict) -> bytes:
    """Returns a text as UTF-8: a JSON string, or an object with `b64`.

    Raises HTTPException, which names the text, when it is neither or too long.
    """
    if isinstance(value, dict) and value.keys() == {"b64"}:
        text = _decoded(value["b64"], name)
    elif isinstance(value, str):
        text = _encoded(value, name)
    else:
        malformed(f"{name}: accepted is a string or {{'b64': ...}}")
    if len(text) > limits.max_text_bytes:
        raise HTTPException(413, f"{name}: {len(text):,} bytes; at most {limits.max_text_bytes:,}")
    return text


def malformed(message: str) -> NoReturn:
    """Refuses a request with code 400."""
    raise HTTPException(400, message)


def _column(inputs: Any) -> Any:
    """Returns the values of `inputs`, which may name the input."""
    if not isinstance(inputs, dict):
        return inputs
    if inputs.keys() != {INPUT}:
        malformed(f"inputs: accepted is a list, or an object with the key {INPUT!r}")
    return inputs[INPUT]


def _instance(value: Any, number: int) -> Any:
    """Returns the value of an instance, which may name the input."""
    if not isinstance(value, dict) or value.keys() == {"b64"}:
        return value
    if value.keys() != {INPUT}:
        malformed(f"text {number}: accepted is a string, or an object with the key {INPUT!r}")
    return value[INPUT]


def _encoded(value: str, name: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        malformed(f"{name}: half of a surrogate pair, which is no character")


def _decoded(value: Any, name: str) -> bytes:
    try:
        text = base64.b64decode(value, validate=True)
        text.decode()
    except (TypeError, ValueError):
        malformed(f"{name}: 'b64' is not Base64 of UTF-8")
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a key is given twice")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _shown(key: str) -> str:
    return ascii(key[:40])
