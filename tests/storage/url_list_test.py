import pytest

from storage.errors import UserError
from storage.url_list import quoted, split


@pytest.mark.parametrize(
    ("value", "urls"),
    [
        ("runs/a", ["runs/a"]),
        ("runs/a,gs://bucket/b,c", ["runs/a", "gs://bucket/b", "c"]),
        (r"runs/a\,b", ["runs/a,b"]),
        (r"a\,b,c\,\,d", ["a,b", "c,,d"]),
        (r"a\b", [r"a\b"]),
    ],
)
def test_commas_separate_unless_quoted(value, urls):
    assert split("--workdir", value) == urls
    assert ",".join(map(quoted, urls)) == value


@pytest.mark.parametrize("value", ["", ",", "a,", ",a", "a,,b"])
def test_empty_part_is_refused(value):
    with pytest.raises(UserError, match=f"^--compare: got '{value}', which has an empty part; "):
        split("--compare", value)
