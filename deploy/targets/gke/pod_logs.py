"""The logs of a job's pods, read piece by piece.

    reader = PodLogs(kubectl, "imdb-1f0c", since=None)
    for line in reader.read(): ...          # the lines since the last call

Kubernetes removes a pod's log with the pod, so a restart of the job loses what was not read before.
Cloud Logging keeps it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from deploy.targets.gke.kubectl import Kubectl

CONTAINER = "trainer"
_LINE = re.compile(r"\[pod/(?P<pod>[^/\]]+)[^\]]*\] (?P<time>\d{4}-\d\d-\d\dT\S+) ?(?P<text>.*)")
# Lines of one pod may be read after later ones of another, and machines' clocks differ a little. So
# each call reads the last lines again, and leaves out those that it has already given.
_OVERLAP = timedelta(seconds=60)


class _Line(NamedTuple):
    time: str  # as Kubernetes writes it, in UTC with nanoseconds, so that it sorts as a text
    pod: str
    text: str


class PodLogs:
    """A LogReader, see deploy/remote.py. No line of a pod is lost, and none is given twice."""

    def __init__(self, kubectl: Kubectl, name: str, since: datetime | None):
        self._kubectl, self._since = kubectl, since
        self._selector = f"--selector=jobset.sigs.k8s.io/jobset-name={name}"
        self._given: Counter[_Line] = Counter()

    def read(self) -> Iterator[str]:
        """Yields the lines since the last call, oldest first; the first call yields all."""
        lines = self._lines()
        again = self._given.copy()
        for line in lines:
            if again[line]:
                again[line] -= 1
            else:
                yield f"[{line.pod}] {line.text}"
        if lines:
            self._since = _time(lines[-1]) - _OVERLAP
            self._given = Counter(line for line in lines if _time(line) >= self._since)

    def _lines(self) -> list[_Line]:
        """Returns the lines from `since` on, sorted by time."""
        options = ["--prefix", "--timestamps", "--tail=-1", "--ignore-errors"]
        if self._since:
            # Kubernetes compares whole seconds.
            since = self._since.astimezone(timezone.utc).replace(microsecond=0)
            options.append(f"--since-time={since.isoformat()}")
        printed = self._kubectl.text("logs", self._selector, f"--container={CONTAINER}", *options)
        found = (_LINE.fullmatch(line) for line in printed.split("\n"))
        lines = [_Line(m["time"], m["pod"], m["text"].rstrip("\r")) for m in found if m]
        return sorted(lines, key=lambda line: line.time)


def _time(line: _Line) -> datetime:
    return datetime.fromisoformat(f"{line.time[:19]}+00:00")
