"""Claims decide which start of a run may write: the one with the highest claim.

    claim = claims.take(store)     # once, at the start
    claim.check()                  # before each save; Superseded when a newer claim exists

A claim is an object whose name is a number that was not used before. Of two starts at the same
moment, exactly one gets each number.
"""

import dataclasses
import re
import uuid

from storage.errors import Superseded
from storage.store import Store

_PREFIX = "claims/"
_USED = re.compile(r"(?:^claims/|/claim-)(\d+)(?:\.|$)")  # a claim's number in an object's name


@dataclasses.dataclass(frozen=True)
class Claim:
    """The right to write into a store, which lasts until another process takes a higher number."""

    store: Store
    number: int

    @property
    def name(self) -> str:
        """Returns the name of the claim's object."""
        return f"{_PREFIX}{self.number}"

    def check(self) -> None:
        """Raises Superseded when a higher claim exists, or this one does not exist any more."""
        numbers = _taken(self.store)
        if self.number not in numbers:
            raise Superseded(
                f"--workdir: {self.store.url}/{self.name} was deleted, so the folder was emptied "
                "during the run; this process writes nothing more; run the same command again"
            )
        latest = max(numbers)
        if latest > self.number:
            raise Superseded(
                f"--workdir: {self.store.url}: start {latest} of this run has superseded this one, "
                f"start {self.number}, which writes nothing more; follow the newer process"
            )


def take(store: Store) -> Claim:
    """Creates a claim with the next number, and returns it."""
    mine = uuid.uuid4().hex.encode()  # differs from the claim of a process that was faster
    while True:
        # The claim of a number that other names hold may have been deleted: the number is used.
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
