"""The record of the jobs that were submitted from this machine."""

import os

import pytest

from deploy import records
from deploy.records import Record

JOB = Record("imdb", "vertex", {"region": "us-central1"}, "gs://bucket/runs/a")


def test_last_record_of_a_name_counts():
    records.add(JOB)
    records.add(JOB._replace(name="other"))
    records.add(JOB._replace(target="gke", options={"namespace": "a"}))
    assert records.find("imdb").target == "gke"
    assert records.find("other") == JOB._replace(name="other")
    assert records.find("unknown") is None


def test_line_that_a_killed_process_left_is_left_out(home):
    records.add(JOB)
    path = home / "state" / "longhaul" / "jobs.jsonl"
    path.write_text(path.read_text() + '{"name": "half\n{}\n[]\n')
    records.add(JOB._replace(name="other"))
    assert [record.name for record in records.every()] == ["imdb", "other"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "of-another-checkout"},
        {"target": ["vertex"]},
        {"options": ["region"]},
        {"options": {"region": ["us-central1"]}},
        {"name": 1},
        {"workdir": None},
    ],
)
def test_record_that_this_checkout_can_not_use_is_left_out(wrong):
    records.add(Record(**{**JOB._asdict(), **wrong}))
    assert records.every() == []


def test_record_that_can_not_be_written_is_a_warning(home, capsys):
    (home / "state").write_text("a file")
    records.add(JOB)
    assert "not written" in capsys.readouterr().err
    assert records.find("imdb") is None


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_records_that_can_not_be_read_are_a_warning(home, capsys):
    records.add(JOB)
    (home / "state" / "longhaul" / "jobs.jsonl").chmod(0)
    assert records.every() == []
    assert "can't be read" in capsys.readouterr().err
