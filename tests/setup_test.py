"""Run with `python -m pytest tests/setup_test.py`.

The source distribution, built, installed elsewhere and run there.
"""

import os
import shutil
import subprocess
import sys
import tarfile

import pytest

from tests.product import PACKAGES, ROOT

NOT_CODE = shutil.ignore_patterns("__pycache__", ".*")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Builds the distribution of a copy of the repository, with a folder nobody has listed."""
    folder = tmp_path_factory.mktemp("build")
    source = folder / "source"
    source.mkdir()
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=NOT_CODE)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    new = source / "trainer" / "new_room" / "corner"
    new.mkdir(parents=True)
    for package in (new.parent, new):
        (package / "__init__.py").touch()
    (new / "code.py").touch()
    command = ["build", "--sdist", "--no-isolation", "--outdir", folder, source]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    (archive,) = folder.glob("longhaul-*.tar.gz")
    return archive, source


@pytest.fixture(scope="module")
def site(built, tmp_path_factory):
    """Installs the distribution in a folder."""
    folder = tmp_path_factory.mktemp("site")
    command = ["install", "--no-deps", "--no-build-isolation", "--target", folder, built[0]]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, capture_output=True)
    return folder


def product_files(root):
    """Returns the paths of all files of the product's packages, relative to `root`."""
    files = (path for package in PACKAGES for path in (root / package).rglob("*"))
    return {
        str(path.relative_to(root)) for path in files if path.is_file() and path.suffix != ".pyc"
    }


def test_every_folder_with_code_is_a_package():
    folders = {(ROOT / name).parent for name in product_files(ROOT) if name.endswith(".py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_archive_holds_every_file_of_the_product_and_no_other_package(built):
    archive, source = built
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert product_files(source) <= names
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders - {"longhaul.egg-info"} == set(PACKAGES)


def test_installation_holds_every_file_of_the_product(built, site):
    assert product_files(site) == product_files(built[1])
    assert "trainer/new_room/corner/code.py" in product_files(site)


def test_installation_has_the_console_scripts(site):
    assert {"longhaul", "longhaul-submit"} <= {path.name for path in (site / "bin").iterdir()}


def test_installation_trains(site, tmp_path, reviews):
    flags = ["--config=configs/sample.py", f"--config.data.source=files:{reviews}",
             "--config.data.cache_dir=", "--config.train.epochs=1",
             "--config.model.layer_sizes=4,", f"--workdir={tmp_path / 'run'}"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *flags],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Test Accuracy:" in done.stdout
