"""Run with `python -m pytest tests/input_pipeline/sources/formats/jsonl_file_test.py`."""

import json

import pytest

from tests.input_pipeline.sources.reading import complaint, read_files, write

FINE = '{"text": "Fine.", "label": 1}\n'


def test_objects_are_read_with_all_their_keys(tmp_path):
    rows = [{"text": "Fine,\n\u6620\u753b.\0", "label": 1}, {"label": "neg", "text": "", "id": 3}]
    write(tmp_path, {"test.jsonl": "\ufeff" + "\n\n".join(map(json.dumps, rows))})
    assert read_files(tmp_path, "test") == [("Fine,\n\u6620\u753b.\0", "1"), ("", "neg")]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ('"pos"', "pos"),
        ('" Very good\\t"', "Very good"),
        ("1", "1"),
        ("1.0", "1"),
        ("0.5", "0.5"),
        ("true", "true"),
    ],
)
def test_label_becomes_a_name(tmp_path, label, expected):
    write(tmp_path, {"train.jsonl": f'{{"text": "A film.", "label": {label}}}\n'})
    assert read_files(tmp_path) == [("A film.", expected)]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "no JSON (Expecting property name enclosed in double quotes at character"),
        ("Fine.,1", "no JSON (Expecting value at character 1)"),
        ('{"text": "Fine."}', "has the keys 'text', but 'text' and 'label' are needed"),
        ('{"review": "", "stars": 1}', "has the keys 'review', 'stars', but"),
        ("{}", "has the keys (none), but"),
        ('["Fine.", 1]', "expected a JSON object, got a list; give one JSON object a line"),
        ('"Fine."', "expected a JSON object, got a text"),
        ("7", "expected a JSON object, got a number"),
        ("null", "expected a JSON object, got null"),
        (f'{{"text": "", "label": {"7" * 5000}}}', "a number of 5,000 digits is too long"),
        (f'{{"text": "", "label": 1, "a": {"[" * 100_000}', "brackets nested too deep"),
        ('{"text": "", "label": NaN}', "NaN is no JSON"),
        ('{"text": "", "label": 1e999}', "got the label inf"),
        ('{"text": "", "label": null}', "got the label None"),
        ('{"text": "", "label": ["pos"]}', "got the label ['pos'], accepted is a text without"),
        (f'{{"text": "", "label": [{"1," * 99}1]}}', "got the label [" + "1, " * 19 + "1,..., acc"),
        ('{"text": "", "label": 1, "label": 0}', "the key 'label' occurs twice"),
        ('{"text": ["Fine."], "label": 1}', "no text, 'text' is a list"),
        ('{"text": null, "label": 1}', "no text, 'text' is null"),
        (r'{"text": "\ud83d", "label": 1}', "half of a surrogate pair in the text; repair"),
        (b'{"text": "\xff", "label": 1}', "not UTF-8; convert the file, or skip such reviews"),
    ],
    ids=range(21),
)
def test_line_that_can_not_be_used_is_refused_with_its_number(tmp_path, line, fault):
    line = line if isinstance(line, bytes) else line.encode()
    write(tmp_path, {"train.jsonl": FINE.encode() + line + b"\n"})
    message = complaint(read_files, tmp_path)
    assert f"config.data.source: {tmp_path / 'train.jsonl'}, line 2: {fault}" in message


def test_keys_of_the_text_and_the_label_may_be_given(tmp_path):
    write(tmp_path, {"train.jsonl": '{"review": "Fine.", "stars": 5}\n'})
    options = {"text_column": "review", "label_column": "stars"}
    assert read_files(tmp_path, **options) == [("Fine.", "5")]
