"""Run with `python -m pytest tests/trainer/modes/vectors_test.py`."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from input_pipeline import vectors
from input_pipeline.vocabulary import read_vocabulary
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.main_test import run as run_command
from tests.trainer.modes.runs import call, flags_of
from trainer.modes.prepare import prepare
from trainer.modes.vectors import run


@pytest.fixture(scope="module")
def trained(run_config, tmp_path_factory):
    """A workdir with vectors and nothing else. Tests must not change it."""
    pytest.importorskip("gensim")
    folder = tmp_path_factory.mktemp("vectors")
    run(call(folder, run_config))
    return folder


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(run_config, trained, tmp_path):
    flags = ("--mode=vectors", *flags_of(run_config), f"--workdir={tmp_path}")
    done = run_command(*flags, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Vectors of 199 words, from 644 reviews: ")
    written = (tmp_path / vectors.VECTORS_FILE).read_bytes()
    assert written == (trained / vectors.VECTORS_FILE).read_bytes()
    assert open_store(str(tmp_path)).list() == [vectors.VECTORS_FILE]


def test_words_are_those_of_the_run_in_the_workdir(run_config, trained, workdir):
    run(call(workdir, run_config))
    vocabulary = read_vocabulary(open_store(str(workdir)))
    ids, rows = vectors.read(workdir / vectors.VECTORS_FILE, vocabulary.tokens, size=8)
    np.testing.assert_array_equal(ids, range(1, len(vocabulary)))
    assert len(np.unique(rows, axis=0)) == len(rows)
    again = (workdir / vectors.VECTORS_FILE).read_bytes()
    assert again == (trained / vectors.VECTORS_FILE).read_bytes()


def test_prepared_shards_give_the_vectors_of_their_texts(run_config, trained, tmp_path):
    sets = tmp_path / "sets"
    prepare(run_config, open_store(str(sets)))
    config = run_config.copy_and_resolve_references()
    config.data.source = f"shards:{sets}"
    run(call(tmp_path / "run", config))
    written = (tmp_path / "run" / vectors.VECTORS_FILE).read_bytes()
    assert written == (trained / vectors.VECTORS_FILE).read_bytes()
    with pytest.raises(UserError, match="holds prepared shards; give a separate folder"):
        run(call(sets, config))


def test_reviews_without_labels_are_read_too(run_config, reviews, tmp_path, capsys):
    folder = Path(shutil.copytree(reviews, tmp_path / "reviews"))
    texts = [json.dumps({"text": f"a film of {number}"}) for number in range(90)]
    (folder / "more.jsonl").write_text("\n".join(texts))
    config = run_config.copy_and_resolve_references()
    config.data.update(source=f"files:{folder}", unlabelled_split="more", unlabelled_batch_size=16)
    run(call(tmp_path / "run", config))
    assert "from 734 reviews: " in capsys.readouterr().out  # 90 more


def test_seed_decides_the_vectors(run_config, trained, tmp_path):
    config = run_config.copy_and_resolve_references()
    config.seed = 1
    run(call(tmp_path, config))
    written = (tmp_path / vectors.VECTORS_FILE).read_bytes()
    assert written != (trained / vectors.VECTORS_FILE).read_bytes()


def test_missing_package_is_named_with_the_command_that_installs_it(
    run_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs gensim; pip install 'longhaul\[vectors\]'$"):
        run(call(tmp_path, run_config))
