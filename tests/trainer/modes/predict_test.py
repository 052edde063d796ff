"""Modes `predict` and `evaluate` on a finished run."""

import json
from pathlib import Path

import pytest

from configs.schema.stored import stored_config
from input_pipeline import load
from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import call
from trainer.learning.metrics import finite_or_none
from trainer.modes import evaluate, predict
from trainer.run.checkpoints import ranked
from trainer.run.workdir import scoring_config

OLD = Path(__file__).parents[2] / "data" / "version_0_1" / "finished"


@pytest.fixture
def store(workdir):
    return open_store(str(workdir))


def predicted(store, texts, capsys, checkpoint="best"):
    """Returns the printed rows, split at their tabs, and the text on standard error."""
    predict.predict(stored_config(store), store, checkpoint, texts)
    captured = capsys.readouterr()
    return [line.split("\t") for line in captured.out.splitlines()], captured.err


def test_prints_a_line_for_each_text_in_order(store, capsys):
    texts = [f"A film of {'many ' * n}words" for n in range(70)] + [""]
    rows, errors = predicted(store, texts, capsys)
    assert [row[2] for row in rows] == texts
    for probability, label, _ in rows:
        assert 0 <= float(probability) <= 1
        assert label == ("positive" if float(probability) > 0.5 else "negative")
    best = ranked(store, "best")[0]
    assert f"Checkpoint: step {best.step}, validation accuracy" in errors.splitlines()[-1]


def test_probability_does_not_depend_on_the_other_texts(store, capsys):
    alone, _ = predicted(store, ["a dull film"], capsys)
    together, _ = predicted(store, ["a dull film", "a film " * 40], capsys)
    assert float(together[0][0]) == pytest.approx(float(alone[0][0]), abs=1e-4)


def test_what_has_arrived_is_answered_before_more_is_read(store, capsys):
    def texts():
        yield "a fine film"
        yield None
        answers.append(capsys.readouterr().out)
        yield "a dull film"

    answers = []
    rows, _ = predicted(store, texts(), capsys)
    assert answers[0].endswith("\ta fine film\n")
    assert [row[2] for row in rows] == ["a dull film"]


def test_checkpoint_can_be_chosen(store, capsys):
    _, errors = predicted(store, ["x"], capsys, "60")
    assert errors.splitlines()[-1] == "Checkpoint: step 60"
    with pytest.raises(UserError, match="no step 7"):
        predicted(store, ["x"], capsys, "7")


def test_prediction_needs_only_the_workdir(store, capsys, monkeypatch):
    monkeypatch.setattr(load, "open_reviews", None)
    assert len(predicted(store, ["a fine film"], capsys)[0]) == 1


def test_damaged_best_checkpoint_is_replaced_by_the_second_best(store, workdir, capsys):
    best, second = ranked(store, "best")[:2]
    for path in (workdir / "checkpoints" / str(best.step)).glob("*.data*"):
        path.unlink()
    _, errors = predicted(store, ["x"], capsys)
    assert f"Checkpoint: step {second.step}" in errors.splitlines()[-1]


def test_changed_vocabulary_is_refused(store, capsys):
    text = store.read("vocabulary.txt").decode().replace("film\n", "zzz\n")
    store.write("vocabulary.txt", text.encode())
    with pytest.raises(UserError, match="bring back that file"):
        predicted(store, ["x"], capsys)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"pooling": "last"',
            '"pooling": "mean"',
            "step .*'last', got 'mean'.*bring back that file",
        ),
        ('"embedding_size": 8', '"embedding_size": 16', "the run has 8, got 16"),
        ('"precision": "float32"', '"precision": null', "is damaged .*precision"),
    ],
)
def test_changed_config_is_refused(store, capsys, old, new, message):
    text = store.read("config.json").decode()
    assert old in text
    store.write("config.json", text.replace(old, new).encode())
    with pytest.raises(UserError, match=rf"^--workdir: .*config\.json .*{message}"):
        predicted(store, ["x"], capsys)


def test_workdir_without_a_run_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        stored_config(open_store(str(tmp_path)))


def test_evaluation_gives_the_test_metrics_of_the_training(store, capsys):
    metrics = evaluate.evaluate(stored_config(store), store, "best")
    output = capsys.readouterr().out.splitlines()
    assert output[-2] == f"Test Accuracy: {metrics['accuracy']:.3f}"
    counts = [int(line.split("tokens:")[1].split()[0]) for line in output if " tokens: " in line]
    assert sum(counts) == 60
    (line,) = (json.loads(line) for line in store.read("metrics.jsonl").splitlines()[-1:])
    assert line["kind"] == "test"
    assert {name: line[name] for name in metrics} == finite_or_none(metrics)


def test_several_runs_print_the_mean_of_their_probabilities(store, capsys):
    other, text = open_store(str(OLD)), "A wonderful film."
    alone = [float(predicted(one, [text], capsys)[0][0][0]) for one in (store, other)]
    predict.run(call(store.url, others=[other], text=(text,)))
    captured = capsys.readouterr()
    assert float(captured.out.split("\t")[0]) == pytest.approx(sum(alone) / 2, abs=1e-4)
    assert captured.err.startswith("Checkpoint: run: step ")
    assert "; finished: step 16, validation accuracy 0.438" in captured.err


def test_text_of_several_lines_is_one_row(store, capsys):
    rows, _ = predicted(store, ["a\tfine\r\nfilm"], capsys)
    assert [row[2:] for row in rows] == [["a fine  film"]]


def test_text_that_is_not_utf8_is_refused(store):
    with pytest.raises(UserError, match="not UTF-8"):
        predict.predict(stored_config(store), store, "best", ["caf\udce9"])


def test_scoring_does_not_need_the_machines_of_the_training(workdir):
    """The stored config has addresses of machines that may no longer exist."""
    config = json.loads((workdir / "config.json").read_text())
    config["strategy"].update(name="tpu", tpu="grpc://10.0.0.2:8470")
    (workdir / "config.json").write_text(json.dumps(config))
    store = open_store(str(workdir))
    strategy = scoring_config(store, None).strategy
    assert (strategy.name, strategy.tpu) == ("auto", "local")
    given = stored_config(store)
    assert scoring_config(store, given).strategy.tpu == "grpc://10.0.0.2:8470"
