"""Configs from outside the tree that import files beside them."""

import sys
from pathlib import Path

import pytest

from configs import default
from deploy import config_files, package, rehearsal
from tests.deploy.examples import REPOSITORY, refusal

MINE = """\
from configs import default
import sizes
from parts.seeds import seed


def get_config():
    config = default.get_config()
    config.seed = seed + sizes.SIZE
    return config
"""
FILES = {
    "mine.py": MINE,
    "sizes.py": "import json\nfrom common import ONE\nSIZE = ONE\n",
    "common.py": "import sizes\nONE = 1\n",
    "parts/__init__.py": "",
    "parts/seeds.py": "from parts import more\nfrom .more import seed\n",
    "parts/more.py": "import numpy as np\nseed = int(np.int64(4))\n",
    "unused.py": "import pandas\n",
}


@pytest.fixture
def source(tmp_path):
    """What `add` takes for a copy of the tree."""
    write(tmp_path / "source", {"configs/imdb.py": "theirs", "trainer/__init__.py": ""})
    return tmp_path / "source"


@pytest.fixture
def mine(tmp_path):
    """A config with helpers, in a folder of its own."""
    write(tmp_path / "my", FILES)
    return tmp_path / "my" / "mine.py"


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}


def test_helpers_become_files_beside_the_config(mine, source):
    config_files.add(mine, source)
    assert names(source / "configs") == (FILES.keys() - {"unused.py"}) | {"imdb.py"}
    assert (source / "configs" / "parts" / "more.py").read_text() == FILES["parts/more.py"]


def test_config_with_helpers_is_the_same_in_the_job(mine):
    archive = package.build(REPOSITORY, mine)
    config = default.get_config()
    config.seed = 5
    rehearsal.check(archive, ["--config=configs/mine.py"], config)


def test_config_of_a_folder_below_configs_can_be_sent(tmp_path, source):
    write(tmp_path / "tree" / "configs" / "mine", FILES)
    config_files.add(tmp_path / "tree" / "configs" / "mine" / "mine.py", source)
    assert "parts/seeds.py" in names(source / "configs")


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"mine.py": "import nothing_here"}, "mine.py': imports 'nothing_here', which is not sent"),
        ({"mine.py": "def f():\n    import pandas"}, "mine.py': imports 'pandas', which is not"),
        ({"mine.py": "from . import sizes"}, "mine.py': imports '.', which is not sent"),
        ({"sizes.py": "import pandas"}, "sizes.py': imports 'pandas', which is not sent"),
        ({"parts/more.py": "import pandas"}, "more.py': imports 'pandas', which is not sent"),
        ({"mine.py": "import folder", "folder/a.py": ""}, "imports 'folder', which is not sent"),
        ({"mine.py": "import imdb", "imdb.py": "mine"}, "configs/imdb.py exists and is another"),
        ({"mine.py": "import trainer", "trainer.py": ""}, "'trainer', which is another module"),
        ({"mine.py": "import yaml", "yaml.py": ""}, "imports 'yaml', which is another module"),
        ({"sizes.py": "KEY = '-----BEGIN " + "PRIVATE KEY-----'"}, "sizes.py': holds a key or"),
        ({"mine.py": "import token_x", "token_x.py": "a ="}, "token_x.py': can't be parsed"),
        ({"mine.py": "import secrets_of", "secrets_of.py": "import"}, "can't be parsed"),
    ],
)
def test_helper_that_can_not_be_sent_is_refused(mine, source, files, text):
    write(mine.parent, files)
    assert text in refusal(config_files.add, mine, source)


def test_folder_on_the_path_of_this_process_hides_nothing(mine, source, monkeypatch):
    monkeypatch.chdir(mine.parent)
    monkeypatch.setattr(sys, "path", ["", *sys.path, str(mine.parent)])
    config_files.add(mine, source)
    assert Path(source / "configs" / "sizes.py").is_file()
