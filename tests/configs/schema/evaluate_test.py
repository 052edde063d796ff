"""`python -m configs.schema.evaluate`, as a user or a submission runs it."""

import json
import subprocess
import sys

from configs import imdb
from configs.schema import rules
from tests.product import ROOT


def evaluate(*flags):
    return subprocess.run(
        [sys.executable, "-m", "configs.schema.evaluate", *flags],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_fields_are_printed_as_one_line_of_json():
    done = evaluate("--config=configs/imdb.py", "--config.model.layer_sizes=8,4")
    assert (done.returncode, done.stderr) == (0, "")
    expected = rules.flatten(imdb.get_config()) | {"model.layer_sizes": (8, 4)}
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_config_that_the_trainer_would_refuse_is_refused():
    for flags, line in (
        ([], "error: --config: missing"),
        (["--config=configs/imdb.py", "--config.seed=-1"], "error: config.seed: got -1"),
        (["--config=configs/imbd.py"], "error: --config: configs/imbd.py does not exist"),
    ):
        done = evaluate(*flags)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(line)
        assert len(done.stderr.splitlines()) == 1
