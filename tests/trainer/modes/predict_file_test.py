"""Mode `predict` with --input: files with predictions, whatever happens on the way."""

import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from configs.schema.stored import stored_config
from input_pipeline.sources import sample_corpus
from storage.local import LocalLog, LocalStore
from storage.store import open_store
from tests.input_pipeline.sources.reading import complaint
from tests.trainer.modes import killed_prediction
from tests.trainer.modes.runs import call
from trainer.learning.predictor import Predictor
from trainer.machines.preemption import Stopped, StopRequests
from trainer.modes import predict, predict_file
from trainer.run.bulk.csv_table import CsvTable
from trainer.run.ensemble import load_ensemble
from trainer.run.trained_network import load_predictor

REPOSITORY = Path(__file__).parents[3]
OLD = REPOSITORY / "tests" / "data" / "version_0_1" / "finished"
TEXTS = [text for text, _ in sample_corpus.reviews("test")[:700]]
TEXTS += ["", "one", 'Two lines,\nwith "quotes".', "word " * 900, "café ✨"]


@pytest.fixture(scope="module")
def loaded(finished):
    store = open_store(str(finished))
    return load_ensemble(stored_config(store), [store], "best", "predict")


@pytest.fixture(scope="module")
def expected(finished):
    """The probabilities <float32>[texts, labels] from a call with each text alone."""
    store = open_store(str(finished))
    predictor, _ = load_predictor(stored_config(store), store, "best", "predict")
    return np.concatenate([predictor(tf.constant([text])).numpy() for text in TEXTS])


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Makes all windows small; a loaded network is used again."""
    windows = functools.partial(predict_file.windows, most=killed_prediction.WINDOW)
    monkeypatch.setattr(predict_file, "windows", windows)


@pytest.fixture
def keep_network(monkeypatch, loaded):
    monkeypatch.setattr(predict_file, "load_ensemble", lambda *_: loaded)


@pytest.fixture
def source(tmp_path):
    """A CSV of TEXTS with two other columns."""
    file = tmp_path / "in.csv"
    with file.open("w", newline="", encoding="utf-8") as content:
        rows = [(number, text, "?") for number, text in enumerate(TEXTS)]
        csv.writer(content).writerows([("id", "text", "label"), *rows])
    return file


def files_call(workdir, source, output, **flags):
    return call(workdir, input=str(source), output=str(output), **flags)


def rows_of(output):
    with output.open(newline="", encoding="utf-8") as content:
        return list(csv.DictReader(content))


@pytest.mark.usefixtures("keep_network")
def test_rows_get_the_predictions_of_their_texts_in_order(finished, source, expected, capsys):
    output = source.with_name("out.csv")
    predict.run(files_call(finished, source, output))
    rows = rows_of(output)
    assert list(rows[0]) == ["id", "text", "label", "predicted_label", "probability"]
    assert [(row["id"], row["text"]) for row in rows] == [(str(n), t) for n, t in enumerate(TEXTS)]
    found = np.array([float(row["probability"]) for row in rows])
    np.testing.assert_allclose(found, expected.max(axis=1), rtol=0, atol=1e-6)
    labels = ["positive" if positive > 0.5 else "negative" for _, positive in expected]
    assert [row["predicted_label"] for row in rows] == labels
    captured = capsys.readouterr()
    assert f"Predicted {len(TEXTS)} rows, skipped 0, " in captured.out
    assert captured.out.splitlines()[-1].startswith("Checkpoint: step ")
    assert "1 row(s) without a text are predicted as reviews without a word" in captured.err
    assert sorted(path.name for path in source.parent.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.usefixtures("keep_network")
def test_all_formats_get_the_same_predictions(finished, source, expected):
    table = arrow_csv.read_csv(
        source, parse_options=arrow_csv.ParseOptions(newlines_in_values=True)
    )
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    source.with_suffix(".jsonl").write_text(lines)
    parquet.write_table(
        table.rename_columns(["id", "review", "label"]), source.with_suffix(".parquet")
    )
    outputs = {ending: source.with_name(f"out{ending}") for ending in (".jsonl", ".parquet")}
    predict.run(files_call(finished, source.with_suffix(".jsonl"), outputs[".jsonl"]))
    fields = {"text_column": "review"}
    predict.run(files_call(finished, source.with_suffix(".parquet"), outputs[".parquet"], **fields))
    objects = [json.loads(line) for line in outputs[".jsonl"].read_text().splitlines()]
    found = [
        [row["probability"] for row in objects],
        parquet.read_table(outputs[".parquet"]).column("probability").to_pylist(),
    ]
    np.testing.assert_allclose(found, [expected.max(axis=1)] * 2, rtol=0, atol=1e-6)


@pytest.mark.usefixtures("keep_network")
def test_bad_rows_are_refused_at_the_start_or_left_out(finished, source, capsys, monkeypatch):
    output = source.with_name("out.csv")
    with source.open("a") as content:
        content.write("1,2,3,4\n" * 12)
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "of_many", None)  # nothing is predicted
        message = complaint(predict.run, files_call(finished, source, output))
    assert message.startswith(f"--input: {source}, line 708: 4 fields, the header has 3;")
    assert "or leave such rows out with --on_bad_row=skip (and 11 more bad row(s))" in message
    assert list(source.parent.iterdir()) == [source]
    predict.run(files_call(finished, source, output, on_bad_row="skip"))
    assert [row["text"] for row in rows_of(output)] == TEXTS
    captured = capsys.readouterr()
    assert f"Predicted {len(TEXTS)} rows, skipped 12, " in captured.out
    assert f"WARNING: {source}: 12 row(s) left out\n  {source}, line 708: 4 fields" in captured.err
    assert "line 717: 4 fields" in captured.err
    assert "line 718" not in captured.err
    assert captured.err.splitlines()[-1] == "  and 2 more"


@pytest.mark.slow
def test_same_command_continues_after_kills_and_gives_the_same_bytes(finished, source):
    whole, output = source.with_name("whole.csv"), source.with_name("out.csv")
    predict.run(files_call(finished, source, whole))
    flags = ["--mode=predict", f"--workdir={finished}", f"--input={source}", f"--output={output}"]

    def killed_at(place, number):
        module = "tests.trainer.modes.killed_prediction"
        command = [sys.executable, "-m", module, place, str(number), *flags]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr

    killed_at("window", 7)
    log = source.with_name("out.csv.partial") / "predictions"
    assert log.stat().st_size > 6 * 104
    killed_at("row", 300)
    assert not output.exists()
    killed_at("named", 1)
    assert output.read_bytes() == whole.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *flags],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in source.parent.iterdir()) == [
        "in.csv",
        "out.csv",
        "whole.csv",
    ]


@pytest.mark.usefixtures("keep_network")
def test_request_to_stop_keeps_what_is_done(finished, source, monkeypatch):
    whole, output = source.with_name("whole.csv"), source.with_name("out.csv")
    predict.run(files_call(finished, source, whole))
    append, appends = LocalLog.append, []

    def stopping(log, data):
        append(log, data)
        appends.append(data)
        if len(appends) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(LocalLog, "append", stopping)
    with pytest.raises(Stopped) as stopped, StopRequests() as stop:
        predict.run(files_call(finished, source, output, stop=stop))
    assert str(stopped.value) == (
        f"Stopped with 48 of {len(TEXTS)} rows predicted; the same command continues."
    )
    assert not output.exists()
    predict.run(files_call(finished, source, output))
    assert sum(map(len, appends)) == 6 * len(TEXTS) + 8 * -(-len(TEXTS) // 16)
    assert output.read_bytes() == whole.read_bytes()


@pytest.mark.usefixtures("keep_network")
def test_request_to_stop_comes_too_late_for_an_output_that_is_written(
    finished, source, monkeypatch
):
    output, upload = source.with_name("out.csv"), LocalStore.upload

    def stopping(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        upload(*arguments)

    monkeypatch.setattr(LocalStore, "upload", stopping)
    with StopRequests() as stop:
        predict.run(files_call(finished, source, output, stop=stop))
    assert [row["text"] for row in rows_of(output)] == TEXTS
    assert sorted(path.name for path in source.parent.iterdir()) == ["in.csv", "out.csv"]


@pytest.mark.usefixtures("keep_network")
def test_output_of_a_file_that_changes_while_it_is_written_does_not_appear(
    finished, source, monkeypatch
):
    output, write = source.with_name("out.csv"), CsvTable.write

    def changing(table, *arguments):
        write(table, *arguments)
        with source.open("a") as content:
            content.write("7,More,?\n")

    monkeypatch.setattr(CsvTable, "write", changing)
    message = complaint(predict.run, files_call(finished, source, output))
    assert message == f"--input: {source} changed while it was read; start again"
    assert not output.exists()


def test_work_is_not_continued_with_other_rows_or_another_checkpoint(finished, source, monkeypatch):
    output = source.with_name("out.csv")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalLog, "append", interrupt)
        predict.run(files_call(finished, source, output))
    message = complaint(predict.run, files_call(finished, source, output, checkpoint="60"))
    assert "another checkpoint: step" in message
    assert "this command has step 60 (" in message
    source.write_text("text\nOther rows.\n")
    message = complaint(predict.run, files_call(finished, source, output))
    assert "out.csv.partial holds unfinished work with another input: SHA-256" in message
    assert message.endswith("or delete that folder to begin again")


def test_several_runs_give_their_mean_and_continue_together_only(
    finished, source, loaded, monkeypatch, capsys
):
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:41]))
    stores, output = [open_store(str(finished)), open_store(str(OLD))], source.with_name("out.csv")
    both = load_ensemble(stored_config(stores[0]), stores, "best", "predict")
    known = {1: loaded, 2: both}
    monkeypatch.setattr(predict_file, "load_ensemble", lambda _, given, *__: known[len(given)])
    together = files_call(finished, source, output, others=stores[1:])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalLog, "append", interrupt)
        predict.run(together)
    message = complaint(predict.run, files_call(finished, source, output))
    assert re.search(r"another checkpoint: step \d+ \(\w+\), step 16 \(\w+\), this", message)
    capsys.readouterr()
    predict.run(together)
    rows = rows_of(output)
    shares = both.probabilities([row["text"] for row in rows])
    found = [float(row["probability"]) for row in rows]
    np.testing.assert_allclose(found, shares.max(axis=1), rtol=0, atol=1e-6)
    names = [both.labels.names[number] for number in shares.argmax(axis=1)]
    assert [row["predicted_label"] for row in rows] == names
    assert capsys.readouterr().out.endswith(f"Checkpoint: {both.describe()}\n")


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"text": ("x",)}, "--text: got one beside --input"),
        ({"output": ""}, "--output: missing"),
        ({"input": "", "output": "b.csv"}, "--output: got 'b.csv' without --input"),
        ({"input": "", "output": "", "text_column": "x"}, "--text_column: got 'x' without --input"),
        ({"input": "", "output": "", "on_bad_row": "skip"}, "--on_bad_row: got 'skip' without"),
    ],
)
def test_flags_that_do_not_fit_are_refused(finished, source, fields, fault):
    given = files_call(finished, source, "out.csv")._replace(**fields)
    assert fault in complaint(predict.run, given)
