"""The file of a vocabulary, read without TensorFlow."""

import subprocess
import sys

import pytest

from input_pipeline import vocabulary_file
from storage.errors import UserError


def test_tokens_and_rules_are_those_of_the_file():
    assert vocabulary_file.parse(b"<pad rules=2>\n<unk>\nfilm\n", "v") == (
        ("<pad>", "<unk>", "film"),
        2,
    )
    assert vocabulary_file.parse(b"<pad>\n<unk>\n", "v").rules == 1


@pytest.mark.parametrize(
    "data", [b"", b"film\n", b"<pad>\n<unk>\na\na\n", b"<pad>\n<unk>", b"\xff"]
)
def test_another_file_is_refused_by_its_name(data):
    with pytest.raises(UserError, match=r"^runs/x/vocabulary.txt: not .*bring back the file"):
        vocabulary_file.parse(data, "runs/x/vocabulary.txt")


def test_it_needs_no_tensorflow():
    code = "import sys, input_pipeline.vocabulary_file; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
