"""Fetches the job's source distribution, checks it, installs it, and becomes the trainer.

    python3 -c "$(cat deploy/payload/bootstrap.py)" gs://BUCKET/longhaul-DIGEST.tar.gz DIGEST ...

Travels as text into a machine that has the dependencies and nothing of longhaul: it imports
google-cloud-storage and what comes with Python. Leaves with code 1 and one line when running it
again won't help, with 75 when it may.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

RUN_AGAIN = 75  # as the trainer does
# Nothing is asked of an index, and nobody's pip.conf is read. The dependencies are there, and pip
# shall not lay others over them.
_INSTALL = (
    *("pip", "--isolated", "install", "--quiet", "--disable-pip-version-check", "--no-index"),
    *("--no-deps", "--no-build-isolation", "--no-cache-dir", "--root-user-action=ignore"),
)


def content_digest(path: Path) -> str:
    """SHA-256 over the sorted (path, content) of a source distribution's files.

    Its own bytes won't do: two archives of one tree differ in their time stamps. SystemExit when
    it is no such archive.
    """
    digest = hashlib.sha256()
    try:
        with tarfile.open(path) as archive:
            files = [member for member in archive.getmembers() if not member.isdir()]
            for member in sorted(files, key=lambda member: member.name):
                if not member.isfile():
                    raise SystemExit(f"error: {path}: {member.name!a} is no plain file")
                content = hashlib.sha256(archive.extractfile(member).read()).hexdigest()
                digest.update(f"{member.name}\0{content}\n".encode())
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SystemExit(f"error: {path}: no readable archive ({_line(error)})") from error
    return digest.hexdigest()


def fetch(url: str, folder: Path) -> Path:
    """Downloads gs://BUCKET/NAME; the path of the file. SystemExit when that fails."""
    # Not needed for the digest, which deploy.package takes from here, and slow to import.
    from google.api_core import exceptions
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from google.cloud import storage
    from google.cloud.storage.exceptions import DataCorruption

    bucket, _, name = url.removeprefix("gs://").partition("/")
    path = folder / name.rpartition("/")[2]
    try:
        blob = storage.Client(project=None).bucket(bucket).blob(name)
        blob.download_to_filename(str(path), timeout=60)
    except exceptions.NotFound as error:
        raise SystemExit(f"error: {url}: not there; submit the job anew") from error
    except (exceptions.ClientError, DefaultCredentialsError) as error:
        raise SystemExit(
            f"error: {url}: can't be read ({_line(error)}); let the job's service account read "
            "the bucket"
        ) from error
    except (exceptions.GoogleAPIError, DataCorruption, GoogleAuthError, OSError) as error:
        print(f"error: {url}: no good answer ({_line(error)})", file=sys.stderr)
        raise SystemExit(RUN_AGAIN) from error
    return path


def main(url: str, digest: str, *arguments: str) -> None:
    """Never returns: the trainer takes the process over, and gets its signals."""
    # A container's first process is deaf to a signal it has no handler for.
    signal.signal(signal.SIGTERM, _leave)
    folder = Path(tempfile.mkdtemp(prefix="longhaul-"))
    path = fetch(url, folder)
    found = content_digest(path)
    if found != digest:
        raise SystemExit(f"error: {url}: its content has the digest {found}, wanted is {digest}")
    target = folder / "installed"
    pip = subprocess.run([sys.executable, "-m", *_INSTALL, "--target", target, path], check=False)
    if pip.returncode:
        raise SystemExit(f"error: {url}: not installed; pip has said above why")
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, "-m", "trainer", *arguments], environment)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _leave(*_) -> None:
    raise SystemExit(RUN_AGAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
