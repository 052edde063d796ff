"""Gives this process another date and another machine, as far as Python code can see.

    elsewhere.pretend()
    datetime.date.today()       # in the next year

A config that has other values there would have others at each start of a job.
"""

import datetime
import os
import socket
import time
from collections.abc import Callable
from typing import Any

# A year, a day, an hour, a minute and a second.
_SECONDS = int(datetime.timedelta(days=366, hours=1, minutes=1, seconds=1).total_seconds())
_CLOCKS = ("time", "monotonic", "perf_counter")


class _Date(datetime.date):
    """A date that knows another today."""

    @classmethod
    def today(cls) -> "_Date":
        return cls.fromtimestamp(time.time())


class _DateTime(datetime.datetime):
    """A time that knows another now."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "_DateTime":
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> "_DateTime":
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)

    @classmethod
    def today(cls) -> "_DateTime":
        return cls.now()


def pretend() -> None:
    """Replaces the functions that tell the time, and the machine's name and number of cores."""
    for name in _CLOCKS:
        _replace(time, name, _added(getattr(time, name), _SECONDS))
        _replace(time, f"{name}_ns", _added(getattr(time, f"{name}_ns"), _SECONDS * 10**9))
    for name in ("localtime", "gmtime", "ctime"):
        _replace(time, name, _by_default(getattr(time, name), 0, time.time))
    _replace(time, "asctime", _by_default(time.asctime, 0, time.localtime))
    _replace(time, "strftime", _by_default(time.strftime, 1, time.localtime))
    _replace(datetime, "date", _Date)
    _replace(datetime, "datetime", _DateTime)
    _replace(socket, "gethostname", lambda: "elsewhere")
    system, _, *others = os.uname()
    machine = os.uname_result((system, "elsewhere", *others))
    _replace(os, "uname", lambda: machine)
    _replace(os, "cpu_count", _added(os.cpu_count, 1))


def _replace(module: Any, name: str, value: Any) -> None:
    setattr(module, name, value)


def _added(call: Callable[[], Any], amount: int) -> Callable[[], Any]:
    """Returns a function that adds an amount to what `call` returns."""
    return lambda: call() + amount


def _by_default(
    call: Callable[..., Any], place: int, default: Callable[[], Any]
) -> Callable[..., Any]:
    """Returns a function whose argument at `place` is `default()` when it isn't given."""

    def wrapped(*arguments: Any) -> Any:
        given = len(arguments) > place and arguments[place] is not None
        return call(*arguments) if given else call(*arguments[:place], default())

    return wrapped
