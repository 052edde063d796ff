"""The manifest's JSON: its fields, its checksum, and the first format."""

import dataclasses
import json
import math

import pytest

from storage import checksum
from storage.errors import UserError
from tests.trainer.run.manifests import manifest_of
from trainer.run.manifest import NAME, Damaged, decode, encode

FILES = ({"name": "checkpoints/4/claim-2.index", "size": 3, "crc32c": 7},)
MANIFEST = dataclasses.replace(manifest_of(4, score=0.75), claim=2, files=FILES)
OBJECT_NAME = NAME.fullmatch(MANIFEST.name)


def changed(**fields):
    """Returns the encoded manifest with other fields and a valid checksum; None drops a field."""
    content = {**json.loads(encode(MANIFEST)), **fields}
    content = {name: value for name, value in content.items() if value is not None}
    del content["crc32c"]
    crc32c = checksum.of(json.dumps(content, sort_keys=True).encode())
    return json.dumps({**content, "crc32c": crc32c}).encode()


def test_manifest_is_read_as_it_was_written():
    read = decode(encode(MANIFEST), OBJECT_NAME)
    assert (read.step, read.claim, read.files) == (4, 2, FILES)
    assert (read.metrics, read.score) == ({"accuracy": 0.75}, 0.75)
    assert read.digest == MANIFEST.digest


def test_manifest_has_format_metrics_and_score():
    content = json.loads(encode(MANIFEST))
    assert content["format"] == 2
    assert content["metrics"] == {"accuracy": 0.75}
    assert content["score"] == 0.75


@pytest.mark.parametrize("score", [math.nan, -math.inf])
def test_score_that_is_no_number_is_none(score):
    content = encode(dataclasses.replace(MANIFEST, score=score))
    assert b'"score": null' in content
    assert decode(content, OBJECT_NAME).score is None
    assert decode(changed(score=score), OBJECT_NAME).score is None  # of an earlier version


def test_changed_byte_is_damage():
    with pytest.raises(Damaged, match="step 4 can't be read"):
        decode(encode(MANIFEST).replace(b"0.75", b"0.85"), OBJECT_NAME)


def test_manifest_of_another_step_is_damage():
    with pytest.raises(Damaged, match="of another checkpoint"):
        decode(encode(MANIFEST), NAME.fullmatch("checkpoints/5/claim-2.manifest.json"))


def test_missing_or_unknown_field_is_damage():
    with pytest.raises(Damaged):
        decode(changed(vocabulary=None), OBJECT_NAME)
    with pytest.raises(Damaged):
        decode(changed(colour="blue"), OBJECT_NAME)


def test_newer_format_is_a_user_error_and_not_damage():
    with pytest.raises(UserError, match=r"claim-2\.manifest\.json has format 3, .* up to 2; run"):
        decode(changed(format=3, colour="blue"), OBJECT_NAME)


def test_first_format_is_read_into_metrics_and_score():
    sums = {"loss_sum": 3.0, "weight": 6.0, "correct": 4.5, "words": 50.0, "places": 64.0}
    zeros = dict.fromkeys(sums, 0.0)
    old = changed(
        format=None, metrics=None, score=None, validation_accuracy=0.5,
        sums={"epoch_sums": zeros, "line_sums": sums},
    )  # fmt: skip
    read = decode(old, OBJECT_NAME)
    assert (read.metrics, read.score) == ({"accuracy": 0.5}, 0.5)
    line_sums = {"loss": (3.0, 6.0), "accuracy": (4.5, 6.0), "filled": (50.0, 64.0)}
    assert read.sums == {"epoch_sums": {}, "line_sums": line_sums}


def test_description_has_the_step_and_a_metric():
    assert MANIFEST.describe("accuracy") == "step 4, validation accuracy 0.750"
    assert MANIFEST.describe("loss") == "step 4"


def test_manifest_that_names_no_files_is_damaged():
    with pytest.raises(Damaged, match="names no files"):
        decode(changed(files=[]), OBJECT_NAME)
