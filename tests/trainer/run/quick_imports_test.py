"""Run with `python -m pytest tests/trainer/run/quick_imports_test.py`."""

import contextlib
import gc
import importlib
import importlib.metadata
import re
import sys

import pytest

from trainer.run import quick_imports

PROJECTS = {"PIL": "pillow", "sklearn": "scikit-learn"}  # where it has another name than the import


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a package that is installed and not yet imported."""
    name = "package_of_quick_imports_test"
    (tmp_path / f"{name}.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


def test_hidden_package_can_be_imported_after_the_block_only(package):
    with quick_imports.hidden(package), pytest.raises(ImportError):
        importlib.import_module(package)
    importlib.import_module(package)


def test_package_that_is_imported_is_not_hidden(package):
    imported = importlib.import_module(package)
    with quick_imports.hidden(package):
        assert importlib.import_module(package) is imported
    assert sys.modules[package] is imported


def test_no_hidden_package_is_required_by_what_is_imported_meanwhile():
    required = {
        re.match(r"[\w.-]+", requirement)[0].lower()
        for project in ("tensorflow", "keras")
        for requirement in importlib.metadata.requires(project)
        if "extra ==" not in requirement
    }
    assert not required & {PROJECTS.get(name, name) for name in quick_imports.OPTIONAL}


@pytest.mark.parametrize("error", [None, ImportError])
def test_what_a_block_makes_is_exempt_from_collection(error):
    before = gc.get_freeze_count()
    with contextlib.suppress(ImportError), quick_imports.without_collection():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]
        if error:
            raise error
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)
    gc.unfreeze()


def test_collection_that_was_off_stays_off():
    gc.disable()
    try:
        with quick_imports.without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
