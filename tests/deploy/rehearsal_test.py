"""Configs that a job would evaluate otherwise than the machine that submits it."""

import importlib.util
import re
import tarfile

import pytest

from configs import imdb
from deploy import package, rehearsal
from tests.deploy.examples import REPOSITORY, refusal

CONFIG = """\
import datetime, os, pathlib, platform, random, socket, subprocess, sys, time, uuid
import numpy as np
from configs import default


def get_config():
    config = default.get_config()
    config.seed = {}
    return config
"""
CHANGES = r"^config\.seed: got \d+, and \d+ when evaluated again; .* could never be resumed$"
ONLY_HERE = r"^config\.seed: got 5 here, but the job would get 0: .* or give --config.seed=VALUE$"
UNUSABLE = r"^--config: configs/mine\.py can't be used \(mine\.py:8: {}\); it was evaluated as in"


@pytest.fixture(scope="module")
def tree():
    """An archive of this tree."""
    return package.build(REPOSITORY)


@pytest.fixture
def rehearse(tree, tmp_path, monkeypatch):
    """Returns a function that submits a config whose seed is an expression."""
    monkeypatch.setenv("SEED", "5")
    (tmp_path / "seed.txt").write_text("5")

    def check(expression):
        mine = tmp_path / "mine.py"
        mine.write_text(CONFIG.format(expression.replace("BESIDE", repr(str(tmp_path)))))
        archive = with_config(tree, mine, tmp_path / "archive.tar")
        rehearsal.check(archive, ["--config=configs/mine.py"], evaluated(mine))

    return check


def with_config(archive, config, path):
    """Copies an archive and adds a config, faster than the archive can be built."""
    with tarfile.open(archive.path) as source, tarfile.open(path, "w") as copy:
        members = source.getmembers()
        for member in members:
            copy.addfile(member, source.extractfile(member))
        copy.add(config, f"{members[0].name.split('/')[0]}/configs/{config.name}")
    return archive._replace(path=path)


def evaluated(path):
    """Returns the config of a file on this machine, or another one where it can't be used."""
    spec = importlib.util.spec_from_file_location("mine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def test_config_of_the_tree_is_accepted(tree):
    config = imdb.get_config()
    config.train.epochs = 2
    config.model.layer_sizes = (8, 4)
    arguments = ["--config=configs/imdb.py", "--config.train.epochs=2", "--workdir=gs://b/a",
                 "--config.model.layer_sizes=8,4"]  # fmt: skip
    rehearsal.check(tree, arguments, config)


@pytest.mark.parametrize(
    "expression",
    [
        "12",
        "int(np.random.default_rng(5).integers(9))",
        "int('9' * len(os.environ.get('NO', '')) or 1)",
    ],
)
def test_config_that_is_the_same_everywhere_is_accepted(rehearse, expression):
    rehearse(expression)


@pytest.mark.parametrize(
    "expression",
    [
        *("int(time.time())", "datetime.date.today().day", "random.randint(0, 10**9)"),
        *("os.getpid()", "hash('a') % 2**31", "sum(socket.gethostname().encode())"),
    ],
)
def test_config_that_changes_from_start_to_start_is_refused(rehearse, expression):
    assert re.match(CHANGES, refusal(rehearse, expression))


@pytest.mark.parametrize(
    "expression",
    [
        "int(os.environ.get('SEED', 0))", "int(os.getenv('SEED', '0'))",
        "5 if os.path.exists(BESIDE + '/seed.txt') else 0",
        "5 if pathlib.Path(BESIDE, 'seed.txt').is_file() else 0",
        "5 if os.access(BESIDE, os.R_OK) else 0",
    ],
)  # fmt: skip
def test_config_that_differs_on_another_machine_is_refused(rehearse, expression):
    assert re.match(ONLY_HERE, refusal(rehearse, expression))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("int(os.environ['SEED'])", "KeyError: 'SEED'"),
        ("int(open(BESIDE + '/seed.txt').read())", "FileNotFoundError: .*/seed.txt'"),
        ("len(os.listdir(BESIDE))", "FileNotFoundError: .* Not sent with the code: '/.*'"),
        (
            "int((pathlib.Path(__file__).parent / 'seed.txt').read_text())",
            "FileNotFoundError: .* 'configs/seed.txt'",
        ),
        (
            "len(subprocess.check_output(['ls']))",
            r"it starts a program \('ls'\), which no config may",
        ),
        (
            "len(socket.gethostbyname('localhost'))",
            "it uses the network, which no config may",
        ),
        # Not in this process, where the config is evaluated first.
        (
            "0 if 'pytest' in __import__('sys').modules else os.fork()",
            r"it starts a program \('os.fork'\), which no config may",
        ),
        (
            "len(__import__('pytest').__name__)",
            "ImportError: 'pytest' is not among what a config may import: .* files beside it",
        ),
    ],
)
def test_config_that_can_not_be_used_elsewhere_is_refused_with_its_line(
    rehearse, expression, reason
):
    assert re.match(UNUSABLE.format(reason), refusal(rehearse, expression))


def test_value_that_no_run_accepts_is_refused(tree):
    arguments = ["--config=configs/imdb.py", "--config.seed=-1"]
    assert "config.seed: got -1" in refusal(rehearsal.check, tree, arguments, imdb.get_config())


LAST_WORDS = "__import__('atexit').register(print, '{}') and 0"


@pytest.mark.parametrize(
    "end",
    ["os._exit(0)", "os.kill(os.getpid(), 9)", LAST_WORDS.format(3), LAST_WORDS.format("{}")],
)
def test_config_that_ends_the_process_is_refused(tree, tmp_path, end):
    mine = tmp_path / "mine.py"
    mine.write_text(CONFIG.format(end))
    archive = with_config(tree, mine, tmp_path / "archive.tar")
    arguments = (archive, ["--config=configs/mine.py"], imdb.get_config())
    line = refusal(rehearsal.check, *arguments)
    assert line.startswith("--config: can't be used (it ended without a word); it was evaluated")


def test_config_may_print(rehearse):
    rehearse("print('hello') or os.write(2, b'x') * 7")
