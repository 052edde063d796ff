"""The source distribution, built, installed elsewhere and run there."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("configs", "deploy", "input_pipeline", "storage", "trainer")


def test_archive_installs_elsewhere_and_runs(tmp_path, reviews):
    source, site = tmp_path / "source", tmp_path / "site"
    for name in (*PACKAGES, "tests", "setup.py", "pyproject.toml", "README.md"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(REPOSITORY / name, source / name)
    build = ["-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    (archive,) = tmp_path.glob("longhaul-*.tar.gz")
    with tarfile.open(archive) as file:
        folders = {name.split("/")[1] for name in file.getnames() if name.count("/") > 1}
    assert folders - {"longhaul.egg-info"} == set(PACKAGES)

    install = ["-m", "pip", "install", "--no-deps", "--no-build-isolation", "--target", str(site)]
    subprocess.run([sys.executable, *install, str(archive)], check=True, capture_output=True)
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
