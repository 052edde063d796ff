"""Finds files that look like credentials, so that none is sent with the code.

secret_files.require_none(root)      # UserError for a file of the tree
secret_files.reason_of(path)         # "holds a key or token", or ""
"""

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from storage.errors import UserError

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


def require_none(root: Path) -> None:
    """Raises UserError for a file below a folder that looks like a credential."""
    for path in files(root):
        if reason := reason_of(path):
            raise UserError(
                f"{str(path.relative_to(root))!a}: {reason}; move it out of the tree, since no "
                "credential may be sent with the code"
            )


def files(folder: Path) -> Iterator[Path]:
    """Yields every file below a folder, except in tools' folders and virtual environments."""
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not _matches(name, _TOOLS) and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(names) if (here / name).is_file())


def reason_of(path: Path) -> str:
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
