"""The code of the working tree as a source distribution, which is uploaded once.

    archive = build(root, extra_config=None)
    url = address(archive, "gs://bucket/packages")      # the URL it will have; sends no request
    url = upload(archive, "gs://bucket/packages")       # uploads it unless it is there already

By hand: python -m deploy.package gs://BUCKET/packages [CONFIG]

It is built from a copy of the packages and of the files that setup.py reads, whether committed to
Git or not. So the tree isn't changed, and no other file can get into the archive.
"""

import ast
import atexit
import contextlib
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deploy.checks import one_line
from deploy.payload.bootstrap import content_digest
from storage.errors import UserError
from storage.store import open_store

_OURS = re.compile(rb"""\bname\s*=\s*["']longhaul["']""")
_BUILD_FILES = ("setup.py", "pyproject.toml", "README.md")
_NOT_PACKAGED = ("tests", "benchmarks")
_CONFIG = r"[a-z_][a-z0-9_]*\.py"
_CONFIG_IMPORTS = {"ml_collections", "configs", "numpy", *sys.stdlib_module_names}

# Folders of tools. They may hold the tools' own certificates, and nothing in them is packaged.
_TOOLS = (".git", "__pycache__", "*_cache")
_SECRET_NAMES = (
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keytab"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *("*.env", ".env.*", ".envrc", ".netrc", ".pypirc", ".boto", ".git-credentials"),
    *("token.json", "secrets.*", "credentials", "credentials.*"),
    *("*credentials*.json", "service[-_]account*.json", "client_secret*.json"),
)
_SECRET_JSON = re.compile(
    rb'"(?:private_key|refresh_token)"\s*:|"type"\s*:\s*"service_account"', re.ASCII
)
# Keys in PEM format, and tokens by the prefixes that their issuers give them.
_SECRET_TEXT = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_\w{36}|\bAKIA[0-9A-Z]{16}\b|"
    rb"\bAIza[\w-]{35}|\bhf_[A-Za-z]{34}|\bya29\.[\w-]{20}",
    re.ASCII,
)
_BYTES_SEARCHED = 1 << 16  # from a file's start; keys are short


class Archive(NamedTuple):
    """A source distribution on this machine, deleted when the process ends."""

    path: Path
    digest: str  # of its content, as deploy/payload/bootstrap.py computes it
    name: str  # of the object in the bucket


def build(root: Path, extra_config: Path | None = None) -> Archive:
    """Builds an archive of the tree at `root`, with `extra_config` as one more of its configs.

    Raises UserError when `root` is not a checkout of longhaul, holds a file that looks like a
    credential, or can't be built; also when the config's name is taken or can't be imported.
    """
    _check_checkout(root)
    _check_secrets(root)
    folder = Path(tempfile.mkdtemp(prefix="longhaul-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = folder / "source"
    _copy(root, source)
    if extra_config is not None:
        _add_config(extra_config, source / "configs")
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


def _check_secrets(root: Path) -> None:
    for path in _files(root):
        if reason := _secret(path):
            raise UserError(
                f"{str(path.relative_to(root))!a}: {reason}; move it out of the tree, since no "
                "credential may be sent with the code"
            )


def _files(folder: Path) -> Iterator[Path]:
    """Yields every file below a folder, except in tools' folders and virtual environments."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not _matches(name, _TOOLS) and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(names) if (here / name).is_file())


def _secret(path: Path) -> str:
    """Returns why a file looks like a credential; "" when it doesn't."""
    if _matches(path.name, _SECRET_NAMES):
        return "its name is that of a credential"
    try:
        with path.open("rb") as file:
            start = file.read(_BYTES_SEARCHED)
    except OSError as error:
        return f"can't be read ({error.strerror}), so it can't be checked for credentials"
    if _SECRET_TEXT.search(start):
        return "holds a key or token"
    if path.suffix.lower() == ".json" and _SECRET_JSON.search(start):
        return "holds a credential"
    return ""


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns)


def _copy(root: Path, source: Path) -> None:
    """Copies the packages, with all their files, and the files that setup.py reads."""
    source.mkdir()
    for name in _BUILD_FILES:
        shutil.copyfile(root / name, source / name)
    for package in sorted(file.parent for file in root.glob("*/__init__.py")):
        if package.name in _NOT_PACKAGED:
            continue
        for path in _files(package):
            copy = source / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _add_config(config: Path, configs: Path) -> None:
    if not re.fullmatch(_CONFIG, config.name):
        raise UserError(
            f"--config: got {config.name!a}, accepted is a file name of a-z, 0-9 and '_' that "
            "ends with .py and doesn't begin with a digit; rename it"
        )
    if reason := _secret(config):
        raise UserError(f"--config: {str(config)!a}: {reason}; it can't be sent with the code")
    if others := _imports(config) - _CONFIG_IMPORTS:
        raise UserError(
            f"--config: {str(config)!a}: imports {sorted(others)[0]!a}, which is not sent "
            "with the code; accepted are ml_collections, configs, numpy and Python's own modules"
        )
    content, place = config.read_bytes(), configs / config.name
    if place.exists() and place.read_bytes() != content:
        raise UserError(
            f"--config: {str(config)!a}: configs/{config.name} exists and is another file; "
            "rename yours"
        )
    place.write_bytes(content)


def _imports(config: Path) -> set[str]:
    """Returns the packages that a config imports, anywhere in the file."""
    found = set()
    for node in ast.walk(ast.parse(config.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0] if not node.level else ".")
    return found


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
    main(*sys.argv[1:])
