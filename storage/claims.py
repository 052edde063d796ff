"""Which process a run belongs to: the one with the highest claim.

    claim = claims.take(store)          # once, at the start
    claims.check(store, claim)          # before each save; Superseded when a newer one exists

A claim is an object created under a number nobody had before, so of two starts at the same moment
exactly one gets each number.
"""

from storage.errors import UserError
from storage.store import Store

_PREFIX = "claims/"


class Superseded(UserError):
    """A newer process has taken over the run; this one must write nothing more."""


def newest(store: Store) -> int:
    """The highest claim taken so far, 0 when there is none."""
    taken = (name.removeprefix(_PREFIX) for name in store.list(_PREFIX))
    return max((int(number) for number in taken if number.isdecimal()), default=0)


def take(store: Store) -> int:
    """Takes the next number and returns it."""
    while True:
        claim = newest(store) + 1
        try:
            store.create(f"{_PREFIX}{claim}", b"")
        except FileExistsError:
            continue
        return claim


def check(store: Store, claim: int) -> None:
    """Raises Superseded when somebody has taken a higher number than `claim`."""
    latest = newest(store)
    if latest > claim:
        raise Superseded(
            f"workdir: {store.url}: start {latest} of this run has superseded this one, start "
            f"{claim}, which writes nothing more; follow the newer process"
        )
