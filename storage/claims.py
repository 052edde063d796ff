"""Which process a run belongs to: the one with the highest claim.

    claim = claims.take(store)     # once, at the start
    claim.check()                  # before each save; Superseded when a newer one exists

A claim is an object created under a number nobody had before, so of two starts at the same moment
exactly one gets each number.
"""

import dataclasses
import uuid

from storage.errors import Superseded
from storage.store import Store

_PREFIX = "claims/"


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
        """Raises Superseded when somebody has taken a higher number."""
        latest = newest(self.store)
        if latest > self.number:
            raise Superseded(
                f"--workdir: {self.store.url}: start {latest} of this run has superseded this one, "
                f"start {self.number}, which writes nothing more; follow the newer process"
            )


def newest(store: Store) -> int:
    """The highest number taken so far, 0 when there is none."""
    taken = (name.removeprefix(_PREFIX) for name in store.list(_PREFIX))
    return max((int(number) for number in taken if number.isdecimal()), default=0)


def take(store: Store) -> Claim:
    """Takes the next number."""
    mine = uuid.uuid4().hex.encode()  # tells it from the claim of a process that was faster
    while True:
        claim = Claim(store, newest(store) + 1)
        try:
            store.create(claim.name, mine)
        except FileExistsError:
            continue
        return claim
