"""Run with `python -m pytest tests/input_pipeline/sources/registry_test.py`."""

import subprocess
import sys
from pathlib import Path

import pytest

from input_pipeline.sources import registry
from input_pipeline.sources.registry import is_source, kind_of
from storage.errors import UserError
from tests.input_pipeline.sources.reading import complaint, read

SOURCES = {
    "sample": ("sample", ""),
    "tfds:imdb_reviews": ("tfds", "imdb_reviews"),
    "files:/data/reviews:old": ("files", "/data/reviews:old"),
    "shards:gs://bucket/imdb": ("shards", "gs://bucket/imdb"),
}
NO_SOURCES = ["imdb", "csv:reviews.csv", "samples", "", "sample:", "sample:x", "tfds", "tfds:"]


@pytest.mark.parametrize("name", NO_SOURCES)
def test_unknown_source_is_never_another_one(name):
    assert "config.data.source" in complaint(read, name)


@pytest.mark.parametrize("name", SOURCES)
def test_source_is_a_kind_and_its_argument(name):
    kind, argument = kind_of(name)
    assert (kind.prefix, argument) == SOURCES[name]
    assert is_source(name)


@pytest.mark.parametrize("name", NO_SOURCES)
def test_other_text_is_refused_with_what_is_accepted(name):
    assert not is_source(name)
    with pytest.raises(UserError) as raised:
        kind_of(name)
    assert str(raised.value) == (
        f"config.data.source: got {name!r}, accepted is 'sample', 'tfds:NAME', 'files:PATH' or "
        "'shards:URL'"
    )


def test_value_of_another_type_is_not_a_source():
    assert not is_source(None)


@pytest.mark.parametrize(
    ("name", "is_reachable"),
    [
        ("sample", True),
        ("tfds:imdb_reviews", True),
        ("files:reviews", False),
        ("files:gs://bucket/reviews", False),
        ("shards:sets", False),
        ("shards:gs://bucket/sets", True),
    ],
)
def test_job_reaches_sources_that_are_not_on_this_machine(name, is_reachable):
    kind, argument = kind_of(name)
    assert kind.is_reachable(argument) == is_reachable


@pytest.mark.parametrize("kind", registry.KINDS, ids=lambda kind: kind.prefix)
def test_kind_has_a_module(kind):
    folder = Path(registry.__file__).parent
    assert "def open_reviews(argument" in (folder / f"{kind.prefix}.py").read_text()


@pytest.mark.parametrize("kind", registry.KINDS, ids=lambda kind: kind.prefix)
def test_reachable_form_is_reachable(kind):
    if kind.reachable_form:
        same, argument = kind_of(kind.reachable_form)
        assert same is kind
        assert kind.is_reachable(argument)


def test_registry_does_not_wait_for_tensorflow():
    code = "import sys, input_pipeline.sources.registry; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("value", ["gs://bucket/tfds", "gs:/bucket", "https://host/a.csv"])
def test_url_is_no_path(value):
    with pytest.raises(UserError, match=f"^config.data.dir: got '{value}', .* not a URL"):
        registry.require_path("config.data.dir", value)


@pytest.mark.parametrize("value", ["", "reviews", "/data/a:b", "~/x", "C:reviews"])
def test_path_is_a_path(value):
    registry.require_path("config.data.dir", value)
    registry.require_path("config.data.source", f"files:{value}", prefix="files:")
