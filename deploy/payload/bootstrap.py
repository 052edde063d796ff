"""Downloads the job's source distribution, verifies and installs it, and becomes the trainer.

    python3 -c "$(cat deploy/payload/bootstrap.py)" gs://BUCKET/longhaul-DIGEST.tar.gz DIGEST ...

Its text is sent to a machine that has the dependencies but no code of longhaul, so it imports only
google-cloud-storage and Python's own modules. Exits with code 1 and one line when running it again
won't help, and with code 75 when it may.
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

RUN_AGAIN = 75  # the trainer's exit code for the same; storage/exit_codes.py is not installed yet
# pip asks no package index and reads no pip.conf. The dependencies are installed already, and it
# must not replace any of them.
_INSTALL = (
    *("pip", "--isolated", "install", "--quiet", "--disable-pip-version-check", "--no-index"),
    *("--no-deps", "--no-build-isolation", "--no-cache-dir", "--root-user-action=ignore"),
)


def content_digest(path: Path) -> str:
    """Returns SHA-256, in hex, over the sorted (path, content) of a source distribution's files.

    The digest of the archive's own bytes won't do: two archives of one tree differ in their time
    stamps. Raises SystemExit when the file is not such an archive.
    """
    digest = hashlib.sha256()
    try:
        with tarfile.open(path) as archive:
            files = [member for member in archive.getmembers() if not member.isdir()]
            for member in sorted(files, key=lambda member: member.name):
                opened = archive.extractfile(member) if member.isfile() else None
                if opened is None:
                    raise SystemExit(f"error: {path}: {member.name!a} is not a regular file")
                content = hashlib.sha256(opened.read()).hexdigest()
                digest.update(f"{member.name}\0{content}\n".encode())
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise SystemExit(f"error: {path}: not a readable archive ({_line(error)})") from error
    return digest.hexdigest()


def fetch(url: str, folder: Path) -> Path:
    """Downloads gs://BUCKET/NAME into a folder and returns the file's path.

    Raises SystemExit when that fails, after a line on standard error.
    """
    # Slow to import; deploy/package.py imports this module for the digest only.
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
        raise SystemExit(f"error: {url}: not found; submit the job again") from error
    except (exceptions.ClientError, DefaultCredentialsError) as error:
        raise SystemExit(
            f"error: {url}: can't be read ({_line(error)}); let the job's service account read "
            "the bucket"
        ) from error
    except (exceptions.GoogleAPIError, DataCorruption, GoogleAuthError, OSError) as error:
        print(f"error: {url}: download failed ({_line(error)})", file=sys.stderr)
        raise SystemExit(RUN_AGAIN) from error
    return path


def main(url: str, digest: str, *arguments: str) -> None:
    """Never returns: the trainer replaces this process and receives its signals."""
    # A container's first process ignores every signal that it has no handler for.
    signal.signal(signal.SIGTERM, _stop)
    folder = Path(tempfile.mkdtemp(prefix="longhaul-"))
    path = fetch(url, folder)
    found = content_digest(path)
    if found != digest:
        raise SystemExit(f"error: {url}: its content has the digest {found}, wanted is {digest}")
    target = folder / "installed"
    pip = subprocess.run([sys.executable, "-m", *_INSTALL, "--target", target, path], check=False)
    if pip.returncode:
        raise SystemExit(f"error: {url}: not installed, for the reason that pip printed above")
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    os.chdir(folder)
    os.execve(sys.executable, [sys.executable, "-m", "trainer", *arguments], environment)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _stop(*_: object) -> None:
    raise SystemExit(RUN_AGAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
