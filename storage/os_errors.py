"""Says what to do about an error of the operating system.

except OSError as error:
    raise UserError(f"{place}: {explanation(error)}") from error
"""

import errno
import os
from pathlib import Path

_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free space there"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "grant this user access to it"),
    errno.EROFS: "make it writable, or give a folder that is",
    **dict.fromkeys(
        (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ETIMEDOUT),
        "check the disk, or the server that it is mounted from",
    ),
    errno.EFBIG: "raise the limit of a file's size (`ulimit -f`)",
    errno.ELOOP: "delete the link, which leads back to itself",
    errno.EISDIR: "move the folder away, a file has to be there",
    errno.EINVAL: "move it away, a file has to be there",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOENT: "bring it back",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST), "move the file or link away, a folder has to be there"
    ),
}
# No more can be written; has nothing to do with what is read.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# One file can't be read, others may be.
UNREADABLE = (
    *(errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, errno.EISDIR, errno.ENOTDIR),
    errno.EINVAL,  # a pipe, see `local.py`
)


def explanation(error: OSError, otherwise: str = "") -> str:
    """Returns what is wrong and what to do, or to do `otherwise`, in one line."""
    advice = _ADVICE.get(error.errno or 0, "mend that")
    return f"{error.strerror or error}; {advice}{otherwise}, and run the same command again"


def place_of(error: OSError, default: Path) -> Path:
    """Returns the path that an error is about: the target of a rename, or what is in the way."""
    path = Path(os.fsdecode(error.filename2 or error.filename or default))
    if error.errno != errno.ENOTDIR:
        return path
    return next(part for part in (path, *path.parents) if os.path.lexists(part))


def require_folder(path: Path) -> None:
    """Raises OSError with the path of the file or dangling link that is in the way of a folder.

    A folder that doesn't exist, but could, is none.
    """
    for part in (path, *path.parents):
        if os.path.lexists(part):
            if not part.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(part))
            return
