"""The cluster of a job: the addresses and roles of its workers, read from TF_CONFIG.

    cluster = from_environment()       # None on a single machine
    cluster.addresses, cluster.rank, cluster.is_chief

TF_CONFIG is JSON (https://www.tensorflow.org/guide/distributed_training#TF_CONFIG):

    {"cluster": {"chief": ["host:port"], "worker": ["host:port", ...]},
     "task": {"type": "worker", "index": 0}}

Without a chief, the first worker acts as the chief. An evaluator and other keys are ignored.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from absl import logging

from storage.errors import UserError

_ROLES = ("chief", "worker")  # in the order of their ranks
_IGNORED_ROLES = ("evaluator",)  # it takes no part in the training
_ALONE = (
    "TF_CONFIG has no task and names fewer than two workers; this process trains alone. Unset it, "
    "or name all workers"
)
_ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All workers of a job, and which of them this process is."""

    roles: tuple[tuple[str, tuple[str, ...]], ...]  # (role, addresses), without empty roles
    role: str  # of this process
    index: int  # of this process within its role

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address (host:port) of each worker, by rank."""
        return tuple(address for _, addresses in self.roles for address in addresses)

    @property
    def rank(self) -> int:
        """The place of this process among all workers; the chief has rank 0."""
        before = 0
        for role, addresses in self.roles:
            if role == self.role:
                return before + self.index
            before += len(addresses)
        known = ", ".join(role for role, _ in self.roles)
        raise ValueError(f"role: got {self.role!r}, accepted is one of the cluster's: {known}")

    @property
    def is_chief(self) -> bool:
        """True for the one worker that logs and writes files."""
        return self.rank == 0


def from_environment() -> Cluster | None:
    """Returns the cluster that TF_CONFIG describes, or None on a single machine.

    Raises UserError, which names the key, when TF_CONFIG is malformed.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    return parse(text) if text else None


def parse(text: str) -> Cluster | None:
    """Parses the text of a TF_CONFIG; returns None when it names fewer than two workers.

    Raises UserError, which names the key, when the text is malformed.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"TF_CONFIG: not valid JSON ({error}); set it as the job's launcher does"
        ) from error
    content = _object(content, "TF_CONFIG")
    given = _object(content.get("cluster", {}), "TF_CONFIG: cluster")
    for name, addresses in given.items():
        if addresses and name not in _ROLES + _IGNORED_ROLES:
            raise UserError(
                f"TF_CONFIG: cluster: got the role {name!r}, accepted are 'chief' and 'worker', "
                "whose processes train, and 'evaluator', which is ignored"
            )
    roles = tuple((role, _addresses(given[role], role)) for role in _ROLES if given.get(role))
    if sum(len(addresses) for _, addresses in roles) < 2:
        if "task" not in content:
            # Once a process, which asks several times.
            logging.log_first_n(logging.WARNING, _ALONE, 1)
        return None
    task = _object(content.get("task"), "TF_CONFIG: task")
    role, index = task.get("type"), task.get("index")
    known = dict(roles)
    if role not in known:
        raise _error("task.type", role, f"one of {', '.join(map(repr, known))}, as in cluster")
    if isinstance(index, str) and index.isdecimal():
        index = int(index)
    if not isinstance(index, int) or not 0 <= index < len(known[role]):
        accepted = f"an integer from 0 to {len(known[role]) - 1}, a position in cluster.{role}"
        raise _error("task.index", index, accepted)
    return Cluster(roles, role, index)


def _addresses(value: Any, role: str) -> tuple[str, ...]:
    is_valid = isinstance(value, list) and all(
        isinstance(address, str) and _ADDRESS.fullmatch(address) for address in value
    )
    if not is_valid:
        raise _error(f"cluster.{role}", value, "a list of 'host:port'")
    return tuple(value)


def _object(value: Any, place: str) -> Mapping[str, Any]:
    """Returns a JSON object unchanged; raises UserError, which names its place, for other JSON."""
    if not isinstance(value, dict):
        raise UserError(f"{place}: got {value!r}, accepted is a JSON object")
    return value


def _error(key: str, value: Any, accepted: str) -> UserError:
    return UserError(f"TF_CONFIG: {key}: got {value!r}, accepted is {accepted}")
