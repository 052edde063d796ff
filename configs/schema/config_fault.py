"""Says in one line, with file and line, why a config file can't be used.

    describe("my/config.py", error)     # "my/config.py can't be used (config.py:7: KeyError: 'X')"

A config file is a program, so its errors are those of any program.
"""

import re
import traceback
from pathlib import Path

_FRAME = re.compile(r'^ *File "(.+?)", line (\d+)', re.MULTILINE)


def describe(file: str, error: BaseException | str) -> str:
    """Returns the reason for a config file; `error` is what it raised, or text with a traceback."""
    return f"{file} can't be used ({_place(file, error)}{_reason(error)})"


def last_line(error: BaseException | str) -> str:
    """Returns the last line of an error's text, which in a traceback says what went wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def _reason(error: BaseException | str) -> str:
    """Returns an error's kind and text; of an exit with an error line that line alone."""
    text = last_line(error)
    match error:
        case AttributeError(args=(KeyError(args=(quoted,)),)):  # a field that a ConfigDict lacks
            text = " ".join(str(quoted).split())
    if isinstance(error, SystemExit) and text.startswith("error: "):
        return text.removeprefix("error: ")
    return text if isinstance(error, str) else f"{type(error).__name__}: {text}"


def _place(file: str, error: BaseException | str) -> str:
    """Returns "NAME:LINE: " of the innermost call in the config or a file beside it, or ""."""
    folder = Path(file).resolve().parent
    for name, line in reversed(_frames(error)):
        path = Path(name).resolve()
        is_own = path.is_file() and "site-packages" not in path.parts
        if is_own and path.is_relative_to(folder):
            return f"{path.relative_to(folder)}:{line}: "
    return ""


def _frames(error: BaseException | str) -> list[tuple[str, str]]:
    """Returns the file and the line of each call, the innermost last."""
    if isinstance(error, str):
        return _FRAME.findall(error)
    return [
        (frame.filename, str(frame.lineno)) for frame in traceback.extract_tb(error.__traceback__)
    ]
