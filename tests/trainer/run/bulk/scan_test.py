"""What is found out about a file before the first prediction."""

import hashlib
import os

import pytest

from storage.errors import UserError
from tests.input_pipeline.sources.reading import complaint
from trainer.run.bulk.formats import open_table
from trainer.run.bulk.scan import reading, scan


def scanned(tmp_path, *texts):
    file = tmp_path / "a.csv"
    file.write_text("\n".join(["id,text", *texts]))
    return scan(open_table(file, "text"), file)


def test_rows_are_counted_and_the_first_bad_ones_named(tmp_path):
    found = scanned(tmp_path, "1,Fine", "2,", "3, \t ", *["4"] * 12)
    content = (tmp_path / "a.csv").read_bytes()
    assert found[:4] == (hashlib.sha256(content).hexdigest(), 3, 2, 12)
    assert len(found.named) == 10
    assert found.named[0].startswith(f"{tmp_path}/a.csv, line 5: 1 field, the header has 2;")


def test_bad_rows_are_refused_or_left_out(tmp_path):
    scanned(tmp_path, "1,Fine").require_good("fail")
    found = scanned(tmp_path, "1,Fine", "2", "3")
    found.require_good("skip")
    message = complaint(found.require_good, "fail")
    assert message.startswith(f"--input: {tmp_path}/a.csv, line 3: 1 field")
    assert message.endswith("leave such rows out with --on_bad_row=skip (and 1 more bad row(s))")
    assert "skip" not in complaint(scanned(tmp_path, "2").require_good, "skip")


def test_file_that_changes_while_it_is_read_is_refused(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("text\nFine\n")
    with reading(file):
        pass
    for change in (
        lambda: file.write_text("text\nFine\nBad\n"),
        lambda: os.utime(file, ns=(1, 1)),
        lambda: file.rename(tmp_path / "b.csv"),
    ):
        with pytest.raises(UserError, match=r"^--input: .*a\.csv"), reading(file):
            change()


@pytest.mark.parametrize("content", ["", "review\n"])
def test_errors_name_the_flag(tmp_path, content):
    file = tmp_path / "a.csv"
    file.write_text(content)
    with pytest.raises(UserError, match=rf"^--input: {file}: "), reading(file):
        open_table(file, "text")
