"""Requests in TensorFlow Serving's form, from bytes to texts, and their answers."""

import json

import numpy as np
import pytest
from starlette.exceptions import HTTPException

from configs import default
from trainer.serving.predict_request import parse

LIMITS = default.get_config().serving
LIMITS.update({"max_texts": 3, "max_text_bytes": 20})
PROBABILITIES = np.array([[0.75, 0.25], [0.125, 0.875]], np.float32)
LABELS = ("negative", "positive")


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ({"instances": ["A film", ""]}, [b"A film", b""]),
        ({"instances": [{"text": "A film"}, "é"]}, [b"A film", "é".encode()]),
        ({"instances": [{"b64": "w6k="}, {"text": {"b64": ""}}]}, ["é".encode(), b""]),
        ({"inputs": ["a\0b"], "signature_name": "serving_default"}, [b"a\0b"]),
        (
            {"inputs": {"text": ["A film", {"b64": "QQ=="}]}, "signature_name": ""},
            [b"A film", b"A"],
        ),
        ({"instances": ["\U0001f600", "x" * 20]}, ["\U0001f600".encode(), b"x" * 20]),
    ],
)
def test_texts_are_read_in_every_form(content, texts):
    for body in (json.dumps(content), json.dumps(content, ensure_ascii=False)):
        assert list(parse(body.encode(), LIMITS).texts) == texts


def test_answer_to_instances_has_a_row_for_each():
    answer = parse(b'{"instances": ["a", "b"]}', LIMITS).answer(LABELS, PROBABILITIES)
    first, second = answer["predictions"]
    assert second == {
        "label": "positive",
        "probability": 0.875,
        "labels": ["negative", "positive"],
        "probabilities": [0.125, 0.875],
    }
    assert first["label"] == "negative"


def test_answer_to_inputs_has_a_column_for_each_output():
    answer = parse(b'{"inputs": ["a", "b"]}', LIMITS).answer(LABELS, PROBABILITIES)
    assert answer == {
        "outputs": {
            "label": ["negative", "positive"],
            "probability": [0.75, 0.875],
            "labels": [["negative", "positive"]] * 2,
            "probabilities": [[0.75, 0.25], [0.125, 0.875]],
        }
    }


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"instances": ["a"]} x', 400, "not JSON"),
        (b'{"instances": ["a"],}', 400, "not JSON"),
        (b'{"instances": ["a\nb"]}', 400, "not JSON"),
        (b'{"instances": [NaN]}', 400, "NaN is not JSON"),
        (b'{"instances": ["a"], "instances": ["b"]}', 400, "a key is given twice"),
        (b'{"instances": [{"text": "a", "text": "b"}]}', 400, "a key is given twice"),
        (b'{"instances": ["\xff"]}', 400, "not UTF-8 at byte 16"),
        (b'\xef\xbb\xbf{"instances": ["a"]}', 400, "not JSON"),
        ('{"instances": ["a"]}'.encode("utf-16"), 400, "not UTF-8"),
        (b"[" * 100_000, 400, "nested too deep"),
        (b'{"instances": [' + b"9" * 100_000 + b"]}", 400, "text 0: accepted is a string"),
        (b'["a"]', 400, "accepted is a JSON object"),
        (b"null", 400, "accepted is a JSON object"),
        (b"{}", 400, "give 'instances' or 'inputs'"),
        (b'{"instances": ["a"], "inputs": ["a"]}', 400, "one of the two"),
        (b'{"instances": ["a"], "x\\ud800": 1}', 400, "unknown key 'x\\ud800'; accepted are ins"),
        (b'{"instances": ["a"], "signature_name": "other"}', 400, "accepted is 'serving_default'"),
        (b'{"instances": ["a"], "signature_name": ["other"]}', 400, "signature_name: accepted is"),
        (b'{"instances": []}', 400, "a list of at least one"),
        (b'{"instances": "a"}', 400, "a list of at least one"),
        (b'{"instances": {"text": ["a"]}}', 400, "a list of at least one"),
        (b'{"inputs": {"text": "a"}}', 400, "a list of at least one"),
        (b'{"inputs": {"txt": ["a"]}}', 400, "an object with the key 'text'"),
        (b'{"instances": ["a", {"txt": "a"}]}', 400, "text 1: accepted is a string, or an object"),
        (b'{"instances": [{"text": "a", "x": 1}]}', 400, "text 0: accepted is a string, or an obj"),
        (b'{"instances": [["a"]]}', 400, "text 0: accepted is a string"),
        (b'{"instances": ["a", null]}', 400, "text 1: accepted is a string"),
        (b'{"instances": ["a", 1e999]}', 400, "text 1: accepted is a string"),
        (b'{"inputs": [{"text": "a"}]}', 400, "text 0: accepted is a string"),
        (b'{"instances": ["\\ud800"]}', 400, "text 0: half of a surrogate pair"),
        (b'{"instances": [{"b64": "?"}]}', 400, "text 0: 'b64' is not Base64"),
        (b'{"instances": [{"b64": "/w=="}]}', 400, "text 0: 'b64' is not Base64 of UTF-8"),
        ('{"instances": [{"b64": "é"}]}'.encode(), 400, "text 0: 'b64' is not Base64"),
        (b'{"instances": [{"b64": 1}]}', 400, "text 0: 'b64' is not Base64"),
        (b'{"instances": ["a", "a", "a", "a"]}', 413, "4 texts; at most 3 a request"),
        (b'{"instances": ["a", "' + b"x" * 21 + b'"]}', 413, "text 1: 21 bytes; at most 20"),
    ],
)
def test_anything_else_is_refused_with_a_reason(body, status, reason):
    with pytest.raises(HTTPException) as refusal:
        parse(body, LIMITS)
    assert refusal.value.status_code == status
    assert reason in refusal.value.detail
    refusal.value.detail.encode()
