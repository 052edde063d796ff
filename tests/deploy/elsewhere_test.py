"""What a process sees of the time and the machine before and after it pretends."""

import datetime
import json
import os
import platform
import socket
import subprocess
import sys
import time

import pytest

from tests.deploy.examples import REPOSITORY

MODULES = (datetime, os, platform, socket, time)
EXPRESSIONS = [
    *("time.time()", "time.time_ns()", "time.localtime().tm_year", "time.gmtime().tm_mday"),
    *("time.ctime()", "time.asctime()", "time.strftime('%Y %d')", "time.ctime(None)"),
    *("datetime.datetime.now().year", "datetime.datetime.today().day"),
    *("datetime.datetime.utcnow().year", "datetime.datetime.now(datetime.timezone.utc).year"),
    *("datetime.date.today().year", "datetime.date.today().isoformat()"),
    *("socket.gethostname()", "platform.node()", "os.uname().nodename", "os.cpu_count()"),
]
SAME = [
    *("time.strftime('%Y', time.gmtime(0))", "time.ctime(0)", "time.gmtime(5).tm_sec"),
    *(
        "datetime.datetime(2020, 1, 2).isoformat()",
        "datetime.date(2020, 1, 2).day",
        "os.uname()[0]",
    ),
    *("datetime.datetime.fromtimestamp(0).isoformat()", "time.monotonic() > 0"),
]


def elsewhere(expressions):
    """Evaluates expressions in a process that pretends."""
    code = (
        f"import {', '.join(module.__name__ for module in MODULES)}, json, sys\n"
        "from deploy import elsewhere\n"
        "elsewhere.pretend()\n"
        "print(json.dumps([eval(e) for e in json.loads(sys.argv[1])]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, json.dumps(expressions)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def seen():
    """Returns each expression's value in a process that pretends."""
    expressions = EXPRESSIONS + SAME
    return dict(zip(expressions, elsewhere(expressions), strict=True))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_clock_and_machine_are_others(seen, expression):
    assert seen[expression] != eval(expression)  # noqa: S307


@pytest.mark.parametrize("expression", SAME)
def test_what_depends_on_neither_stays(seen, expression):
    assert seen[expression] == eval(expression)  # noqa: S307


def test_every_part_of_the_time_is_another(seen):
    there = datetime.datetime.fromtimestamp(seen["time.time()"])
    ahead = there - datetime.datetime.now()
    assert abs(ahead - datetime.timedelta(days=366, hours=1, minutes=1)) < datetime.timedelta(
        minutes=5
    )
