"""Mode `explain` on a finished run."""

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.modes.runs import call
from trainer.modes import explain
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config

TEXT = "The film was dull, and the book <b>superb</b>."


def explained(workdir, capsys, *texts, **flags):
    """Runs the mode, and returns the lines that it printed."""
    explain.run(call(workdir, text=texts, **flags))
    return capsys.readouterr().out.splitlines()


def test_writes_a_page_and_a_picture_into_the_workdir(workdir, capsys):
    lines = explained(workdir, capsys, TEXT)
    (page,) = (workdir / "explanations").glob("*.html")
    (picture,) = (workdir / "explanations").glob("*.png")
    assert page.stem == picture.stem
    assert page.stem.startswith("the-film-was-dull-and-the-")
    assert picture.read_bytes().startswith(b"\x89PNG")
    store = open_store(str(workdir))
    predictor, _ = load_predictor(scoring_config(store, None), store, "best", "predict")
    probability = float(predictor([TEXT]).numpy().max())
    verdict = lines[0].split(":")[0].split()
    assert verdict[0] in ("negative", "positive")
    assert float(verdict[1]) == pytest.approx(probability, abs=1e-4)
    assert lines[0].endswith(f": {page} and .png")
    assert lines[1].startswith("Checkpoint: step ")


def test_each_text_has_files_of_its_own_and_the_same_text_the_same(workdir, tmp_path, capsys):
    texts = ["", "映画 😀", f"{TEXT} Again.", f"{TEXT} And again."]
    for given in (texts, texts[:1]):
        explained(workdir, capsys, *given, to=str(tmp_path / "there"), checkpoint="last")
    assert len(list((tmp_path / "there").glob("*.html"))) == len(texts)
    assert len(list((tmp_path / "there").glob("*.png"))) == len(texts)
    assert not (workdir / "explanations").exists()


def test_files_can_be_in_a_bucket(workdir, cloud, capsys):
    (line, _) = explained(workdir, capsys, TEXT, to="gs://bucket/explained")
    assert "gs://bucket/explained/the-film-was-dull" in line
    names = open_store("gs://bucket/explained").list()
    assert sorted(name.rpartition(".")[2] for name in names) == ["html", "png"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((), "^--text: missing; give a review"),
        ((TEXT, "caf\udce9"), r"^--text: 'caf\\udce9' is not UTF-8; convert it"),
    ],
)
def test_missing_or_broken_text_is_refused_before_anything_is_written(
    workdir, capsys, texts, message
):
    with pytest.raises(UserError, match=message):
        explained(workdir, capsys, *texts)
    assert not (workdir / "explanations").exists()


def test_review_that_is_cut_says_so(workdir, capsys):
    lines = explained(workdir, capsys, "word " * 60)
    assert "  The network reads 48 of the 60 words" in lines
    (page,) = (workdir / "explanations").glob("*.html")
    assert "The review has 60 words; the network reads 48 of them." in page.read_text()
