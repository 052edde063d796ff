import pytest

from storage import json_object


def test_object_is_parsed():
    assert json_object.parse(b'{"a": [1]}') == {"a": [1]}


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 200_000, b'{"a":' * 200_000, b"1" * 5000],
    ids=["empty", "cut", "list", "null", "bytes", "nested", "nested objects", "long number"],
)
def test_everything_else_is_a_value_error(data):
    with pytest.raises(ValueError):
        json_object.parse(data)
