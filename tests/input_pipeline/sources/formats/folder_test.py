"""Run with `python -m pytest tests/input_pipeline/sources/formats/folder_test.py`."""

import logging

import pytest

from tests.input_pipeline.sources.reading import complaint, open_source, read_files, write


def test_names_of_the_folders_are_the_labels(tmp_path):
    write(tmp_path, {f"train/{name}/1.txt": f"{name}\r\n" for name in ("so so", "bad", "good")})
    names = ["bad", "good", "so so"]
    assert read_files(tmp_path) == [(f"{name}\n", name) for name in names]


def test_order_of_files_is_that_of_their_names(tmp_path):
    names = ["10", "2", "b", "a", "1"]
    write(
        tmp_path, {f"train/{label}/{name}.txt": name for label in ("pos", "neg") for name in names}
    )
    assert [text for text, _ in read_files(tmp_path)] == sorted(names) * 2


def test_what_is_left_out_is_counted_in_one_line_per_run(tmp_path, caplog):
    reviews = {"train/neg/1.txt": "Bad.", "train/pos/1.TXT": "Fine.", "train/pos/2.Txt": "Good."}
    others = {
        **{f"train/unsup/{i}.txt": "What?" for i in range(3)},
        "train/pos/._1.txt": "AppleDouble",
        "train/.DS_Store": "",
        "train/pos/readme.md": "Reviews.",
        "train/pos/more/3.txt": "Fine.",
        "train/urls.txt": "https://",
    }
    write(tmp_path, reviews | others)
    source = open_source(f"files:{tmp_path}")
    with caplog.at_level(logging.WARNING):
        source.fingerprint("train")
        assert [text for text, _ in read_files(tmp_path)] == ["Bad.", "Fine.", "Good."]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'train'}: left out (names that begin with a dot: 2, files in unsup: 3, files "
        "beside the label folders: 1, folders within label folders: 1, files that don't end in "
        ".txt: 1)"
    ]


def test_fewer_than_two_labels_are_refused(tmp_path):
    write(tmp_path, {"train/pos/1.txt": "Fine.", "train/unsup/1.txt": "What?"})
    message = complaint(read_files, tmp_path)
    assert f"{tmp_path / 'train'}: needs two or more folders, one a label; it has pos" in message


def test_line_that_is_not_utf8_is_named(tmp_path):
    write(tmp_path, {"train/pos/1.txt": b"Fine,\r\nfine,\rfine \xff", "train/neg/1.txt": "Bad."})
    assert f"{tmp_path / 'train/pos/1.txt'}, line 3: not UTF-8" in complaint(read_files, tmp_path)


@pytest.mark.parametrize("ask", ["batches", "fingerprint"])
def test_file_that_can_not_be_read_is_named(tmp_path, ask):
    write(tmp_path, {f"train/{label}/1.txt": "Fine." for label in ("pos", "neg")})
    (tmp_path / "train/pos/2.txt").symlink_to("nowhere")
    source = open_source(f"files:{tmp_path}")
    message = complaint(lambda: list(getattr(source, ask)("train")))
    assert "train/pos/2.txt: No such file or directory; repair or remove it" in message
