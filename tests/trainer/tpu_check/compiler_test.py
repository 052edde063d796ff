"""What can be known about the compiler without it."""

import sys

import pytest

from storage.errors import UserError
from trainer.tpu_check import compiler


def test_missing_compiler_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "libtpu", None)
    with pytest.raises(UserError, match=r"pip install 'longhaul\[tpu-check\]'"):
        compiler.require_compiler()
