"""Run with `python -m pytest tests/input_pipeline/sources/formats/signature_test.py`."""

import bz2
import gzip
import io
import lzma
import zipfile

import pytest

from tests.input_pipeline.sources.reading import complaint, read_files, write

TEXT = "text,label\nA film \U0001f600.,1\n"


def zipped(content):
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("train.csv", content)
    return file.getvalue()


FOREIGN = {
    "UTF-16": (TEXT.encode("utf-16"), "not UTF-8 (it looks like UTF-16); convert it"),
    "UTF-16-BE": (TEXT.encode("utf-16-be"), "not UTF-8 (it looks like UTF-16-BE); convert it"),
    "UTF-16-LE": (TEXT.encode("utf-16-le"), "not UTF-8 (it looks like UTF-16-LE); convert it"),
    "UTF-32": (TEXT.encode("utf-32"), "not UTF-8 (it looks like UTF-32); convert it"),
    "UTF-32-LE": (TEXT.encode("utf-32-le"), "not UTF-8 (it looks like UTF-32-LE); convert it"),
    "gzip": (gzip.compress(TEXT.encode()), "compressed with gzip; unpack it"),
    "bzip2": (bz2.compress(TEXT.encode()), "compressed with bzip2; unpack it"),
    "xz": (lzma.compress(TEXT.encode()), "compressed with xz; unpack it"),
    "zip": (zipped(TEXT), "compressed with zip (or an Excel workbook: save it as CSV UTF-8)"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "compressed with zstd; unpack it"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["all.csv", "all.JSONL", "all.csv.gz", "all.dat"])
def test_file_that_is_not_utf8_as_a_whole_is_named_for_what_it_is(tmp_path, kind, name):
    content, fault = FOREIGN[kind]
    write(tmp_path, {name: content})
    assert f"{tmp_path / name}: {fault}" in complaint(read_files, tmp_path / name)


def test_file_of_a_folder_that_is_not_utf8_is_one_bad_review(tmp_path):
    write(tmp_path, {"neg/1.txt": "Bad.", "pos/1.txt": "A film.".encode("utf-16-le")})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path / 'pos/1.txt'}, line 1: not UTF-8 (it looks like UTF-16-LE)" in message
    assert read_files(tmp_path, on_bad_text="skip") == [("Bad.", "neg")]


def test_text_with_nul_bytes_is_utf8(tmp_path):
    write(tmp_path, {"all.csv": "text,label\n" + "a\0b\0\0c,1\n" * 20})
    assert len(read_files(tmp_path / "all.csv")) == 18
