"""The stores that the tests of the interface run against: add one to STORES, and it is tested."""

import pytest

from storage.store import open_store

# Name -> the URL of a store nobody has used yet, given a folder of the test's own.
STORES = {"local": lambda folder: str(folder / "run")}


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return open_store(STORES[request.param](tmp_path))
