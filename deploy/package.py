"""The code of the working tree as a source distribution, which is uploaded once.

    archive = build(root, extra_config=None)
    url = address(archive, "gs://bucket/packages")      # the URL it will have; sends no request
    url = upload(archive, "gs://bucket/packages")       # uploads it unless it is there already

By hand: python -m deploy.package gs://BUCKET/packages [CONFIG]

It is built from a copy of the packages and of the files that setup.py reads, whether committed to
Git or not. So the tree isn't changed, and no other file can get into the archive.
"""

import atexit
import contextlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from deploy import config_files, secret_files
from deploy.checks import one_line
from deploy.payload.bootstrap import content_digest
from storage.errors import UserError
from storage.os_errors import explanation, place_of
from storage.store import open_store

_OURS = re.compile(rb"""\bname\s*=\s*["']longhaul["']""")
_BUILD_FILES = ("setup.py", "pyproject.toml", "README.md")
_NOT_PACKAGED = ("tests", "benchmarks")


class Archive(NamedTuple):
    """A source distribution on this machine, deleted when the process ends."""

    path: Path
    digest: str  # of its content, as deploy/payload/bootstrap.py computes it
    name: str  # of the object in the bucket


def build(root: Path, extra_config: Path | None = None) -> Archive:
    """Builds an archive of the tree at `root`, with `extra_config` as one more of its configs.

    The files beside that config that it imports are included too. Raises UserError when `root` is
    not a checkout of longhaul, holds a file that looks like a credential, or can't be built; also
    for a config that can't be included (see deploy/config_files.py).
    """
    _check_checkout(root)
    secret_files.require_none(root)
    try:
        folder = Path(tempfile.mkdtemp(prefix="longhaul-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        source = folder / "source"
        _copy(root, source)
    except OSError as error:
        where = place_of(error, Path(tempfile.gettempdir()))
        raise UserError(f"{where}: {explanation(error)}") from error
    if extra_config is not None:
        config_files.add(extra_config, source)
    path = _sdist(source, folder / "sdist")
    digest = content_digest(path)
    version = path.name.removeprefix("longhaul-").removesuffix(".tar.gz")
    return Archive(path, digest, f"longhaul-{version}-{digest[:16]}.tar.gz")


def address(archive: Archive, url: str) -> str:
    """Returns the URL that `upload` gives the archive below `url`."""
    return f"{url.rstrip('/')}/{archive.name}"


def files(archive: Archive) -> list[str]:
    """Returns the names of the files in an archive, a line for each folder."""
    folders: dict[str, list[str]] = {}
    with tarfile.open(archive.path) as opened:
        for name in sorted(member.name for member in opened.getmembers() if member.isfile()):
            folder, _, file = name.partition("/")[2].rpartition("/")
            folders.setdefault(folder or ".", []).append(file)
    return [f"{folder}: {' '.join(names)}" for folder, names in folders.items()]


def upload(archive: Archive, url: str) -> str:
    """Uploads the archive below `url`, gs://BUCKET/PREFIX, unless it is there. Returns its URL.

    Raises UserError, which names --workdir, when the bucket can't be read or written.
    """
    if not url.startswith("gs://"):
        raise UserError(
            f"--workdir: got {url!r}, accepted is gs://BUCKET/PATH; jobs read from there"
        )
    store = open_store(url)
    if not store.exists(archive.name):
        # Builds of the same tree differ in their bytes, but the name has the digest of the content.
        # So it doesn't matter whose build is stored, and the job verifies the digest again.
        with contextlib.suppress(FileExistsError):
            store.create(archive.name, archive.path.read_bytes())
    return address(archive, url)


def _check_checkout(root: Path) -> None:
    is_complete = all((root / name).is_file() for name in _BUILD_FILES)
    if not is_complete or not _OURS.search((root / "setup.py").read_bytes()):
        raise UserError(
            f"{root}: not a checkout of longhaul, with {', '.join(_BUILD_FILES)}; submit from one, "
            "since its code is what the job runs"
        )


def _copy(root: Path, source: Path) -> None:
    """Copies the packages, with all their files, and the files that setup.py reads."""
    source.mkdir()
    for name in _BUILD_FILES:
        shutil.copyfile(root / name, source / name)
    for package in sorted(file.parent for file in root.glob("*/__init__.py")):
        if package.name in _NOT_PACKAGED:
            continue
        for path in secret_files.files(package):
            copy = source / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _sdist(source: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation"]
    command += ["--outdir", str(out), str(source)]
    # Run elsewhere than in the tree, whose folder `build` would be taken for the module.
    done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = one_line(" ".join(lines[-3:]))
        raise UserError(
            f"the source distribution can't be built ({reason}); `pip install -e '.[deploy]'` "
            "installs what the build needs"
        )
    (path,) = out.glob("longhaul-*.tar.gz")
    return path


def main(url: str, *config: str) -> None:
    """Builds and uploads an archive and prints its URL. A UserError is one line and exit code 1."""
    try:
        archive = build(Path(__file__).resolve().parents[1], *(Path(path) for path in config))
        print(upload(archive, url))
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("error: accepted is gs://BUCKET/FOLDER and, for a config from elsewhere, its file")
    main(*sys.argv[1:])
