"""Which process a run belongs to: the one with the highest claim.

    claim = claims.take(store)     # once, at the start
    claim.check()                  # before each save; Superseded when a newer one exists

A claim is an object created under a number nobody had before, so of two starts at the same moment
exactly one gets each number.
"""

import dataclasses
import re
import uuid

from storage.errors import Superseded
from storage.store import Store

_PREFIX = "claims/"
_USED = re.compile(r"(?:^claims/|/claim-)(\d+)(?:\.|$)")  # in a name, by whatever was written


@dataclasses.dataclass(frozen=True)
class Claim:
    """A process's right to write into a store, until somebody takes a higher number."""

    store: Store
    number: int

    @property
    def name(self) -> str:
        """Of its object, whose bytes nobody else's has."""
        return f"{_PREFIX}{self.number}"

    def check(self) -> None:
        """Raises Superseded when somebody has taken a higher number, or this one is gone."""
        numbers = _taken(self.store)
        if self.number not in numbers:
            raise Superseded(
                f"--workdir: {self.store.url}/{self.name} is gone, so the folder was emptied under "
                "this process, which writes nothing more; run the same command again"
            )
        latest = max(numbers)
        if latest > self.number:
            raise Superseded(
                f"--workdir: {self.store.url}: start {latest} of this run has superseded this one, "
                f"start {self.number}, which writes nothing more; follow the newer process"
            )


def take(store: Store) -> Claim:
    """Takes the next number."""
    mine = uuid.uuid4().hex.encode()  # tells it from the claim of a process that was faster
    while True:
        # Not one either that is in a name already: its object may have been deleted.
        used = (int(match[1]) for match in map(_USED.search, store.list()) if match)
        claim = Claim(store, max(used, default=0) + 1)
        try:
            store.create(claim.name, mine)
        except FileExistsError:
            continue
        return claim


def _taken(store: Store) -> set[int]:
    names = (name.removeprefix(_PREFIX) for name in store.list(_PREFIX))
    return {int(name) for name in names if name.isdecimal()}
