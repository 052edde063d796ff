"""Which files --input and --output may name."""

import os

import pytest

from tests.input_pipeline.sources.reading import complaint
from trainer.run.bulk.places import places


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "a.txt", "A.CSV", "a.csv.gz"):
        (tmp_path / name).write_text("text\nFine\n")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "same.csv").symlink_to("a.csv")
    os.mkfifo(tmp_path / "pipe.csv")


def test_endings_may_have_capitals(tmp_path):
    source, output = places("A.CSV", str(tmp_path / "b.csv"))
    assert (source.name, output) == ("A.CSV", tmp_path / "b.csv")


def test_home_folder_may_be_given_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places("~/a.csv", "~/b.csv") == (tmp_path / "a.csv", tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("source", "output", "fault"),
    [
        (
            "a.csv",
            "~nobody-has-this-name/b.csv",
            "--output: got '~nobody-has-this-name/b.csv', but",
        ),
        ("a.csv", "", "--output: missing; give a file for --input and one for --output"),
        ("gs://b/a.csv", "b.csv", "--input: got 'gs://b/a.csv', accepted is a local file"),
        ("a.csv", "gs://b/b.csv", "--output: got 'gs://b/b.csv', accepted is a local file"),
        ("no.csv", "b.csv", "--input: no.csv does not exist; give a file that ends in .csv"),
        ("-", "b.csv", "--input: - does not exist"),
        ("folder.csv", "b.csv", "--input: folder.csv is no regular file"),
        ("pipe.csv", "b.csv", "without --input a review a line to standard input"),
        ("a.txt", "b.txt", "--input: a.txt ends in none of .csv, .jsonl, .parquet"),
        ("a.csv.gz", "b.csv", "--input: a.csv.gz ends in none of"),
        ("a.csv", "folder.csv", "--output: folder.csv is a folder; give the name of a file"),
        ("a.csv", "no/b.csv", "--output: no is no folder; create it"),
        ("a.csv", "a.txt/b.csv", "--output: a.txt is no folder"),
        ("a.csv", "a.csv", "--output: a.csv is the file of --input; give another one"),
        ("a.csv", "same.csv", "--output: same.csv is the file of --input"),
        ("a.csv", "b.jsonl", "--output: got 'b.jsonl', accepted is a name that ends in .csv"),
        ("a.csv", "b" * 300 + ".csv", "File name too long; give a shorter name"),
    ],
)
def test_other_places_are_refused(source, output, fault):
    assert fault in complaint(places, source, output)
