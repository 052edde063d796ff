"""Fetches the job's source distribution, checks it, installs it, and becomes the trainer.

    python3 -c "$(cat deploy/bootstrap.py)" gs://BUCKET/longhaul-DIGEST.tar.gz DIGEST --config=...

Travels as text into a machine that has the dependencies and nothing of longhaul: it imports
google-cloud-storage and what comes with Python.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage


def content_digest(path: Path) -> str:
    """SHA-256 over the sorted (path, content) of a source distribution's files.

    Its own bytes won't do: two archives of one tree differ in their time stamps.
    """
    digest = hashlib.sha256()
    with tarfile.open(path) as archive:
        files = [member for member in archive.getmembers() if not member.isdir()]
        for member in sorted(files, key=lambda member: member.name):
            if not member.isfile():
                raise SystemExit(f"error: {path}: {member.name} is no plain file")
            content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
            digest.update(f"{member.name}\0{content}\n".encode())
    return digest.hexdigest()


def fetch(url: str, folder: Path) -> Path:
    """Downloads gs://BUCKET/NAME; the path of the file."""
    bucket, _, name = url.removeprefix("gs://").partition("/")
    path = folder / name.rpartition("/")[2]
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    credentials = {"credentials": AnonymousCredentials(), "project": "-"} if emulator else {}
    storage.Client(**credentials).bucket(bucket).blob(name).download_to_filename(path, timeout=60)
    return path


def main(url: str, digest: str, *arguments: str) -> None:
    """Never returns: the trainer takes the process over, and gets its signals."""
    folder = Path(tempfile.mkdtemp(prefix="longhaul-"))
    path = fetch(url, folder)
    found = content_digest(path)
    if found != digest:
        raise SystemExit(f"error: {url}: its content has the digest {found}, wanted is {digest}")
    # The dependencies are there, and pip shall not lay others over them.
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    target = folder / "installed"
    subprocess.run([sys.executable, "-m", "pip", *install, "--target", target, path], check=True)
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, "-m", "trainer", *arguments], environment)


if __name__ == "__main__":
    main(*sys.argv[1:])
