"""The machines of a job, as TF_CONFIG tells them.

    cluster = from_environment()       # None where TF_CONFIG says nothing of several machines
    cluster.addresses, cluster.rank, cluster.is_chief

TF_CONFIG is JSON (https://www.tensorflow.org/guide/distributed_training#TF_CONFIG):

    {"cluster": {"chief": ["host:port"], "worker": ["host:port", ...]},
     "task": {"type": "worker", "index": 0}}

Without a chief the first worker is it. Whatever else is in there is left alone.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from storage.errors import UserError

_ROLES = ("chief", "worker")  # in the order of their ranks
_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All workers of a job, and which of them this process is."""

    roles: tuple[tuple[str, tuple[str, ...]], ...]  # (role, addresses) of those that have any
    role: str
    index: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """host:port of each worker, by rank."""
        return tuple(address for _, addresses in self.roles for address in addresses)

    @property
    def rank(self) -> int:
        """This process's place among all workers, 0 for the chief."""
        before = 0
        for role, addresses in self.roles:
            if role == self.role:
                return before + self.index
            before += len(addresses)
        raise ValueError(f"role: got {self.role!r}, which is none of the cluster's")

    @property
    def is_chief(self) -> bool:
        """True for the one that logs and writes."""
        return self.rank == 0


def from_environment() -> Cluster | None:
    """The cluster of this process; None when there is one machine only.

    Raises UserError, which names the key, when TF_CONFIG is malformed.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    return parse(text) if text else None


def parse(text: str) -> Cluster | None:
    """The same for the text of a TF_CONFIG."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise UserError(
            f"TF_CONFIG: no JSON ({error}); set it as the job's launcher does"
        ) from error
    content = _mapping(content, "TF_CONFIG")
    given = _mapping(content.get("cluster", {}), "TF_CONFIG: cluster")
    roles = tuple((role, _addresses(given[role], role)) for role in _ROLES if given.get(role))
    if sum(len(addresses) for _, addresses in roles) < 2:
        return None
    task = _mapping(content.get("task"), "TF_CONFIG: task")
    role, index = task.get("type"), task.get("index")
    known = dict(roles)
    if role not in known:
        raise _refused("task.type", role, f"one of {', '.join(map(repr, known))}, as in cluster")
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if not isinstance(index, int) or not 0 <= index < len(known[role]):
        raise _refused(
            "task.index", index, f"an integer from 0 to {len(known[role]) - 1}, a place in "
            f"cluster.{role}"
        )  # fmt: skip
    return Cluster(roles, role, index)


def _addresses(value: Any, role: str) -> tuple[str, ...]:
    good = isinstance(value, list) and all(
        isinstance(address, str) and _ADDRESS.fullmatch(address) for address in value
    )
    if not good:
        raise _refused(f"cluster.{role}", value, "a list of 'host:port'")
    return tuple(value)


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{place}: got {value!r}, accepted is a JSON object")
    return value


def _refused(key: str, value: Any, accepted: str) -> UserError:
    return UserError(f"TF_CONFIG: {key}: got {value!r}, accepted is {accepted}")
