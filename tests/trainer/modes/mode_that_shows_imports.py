"""A mode for the tests: it prints which of some packages, and whether `train`, are imported."""

import sys

from trainer.modes.interface import Call
from trainer.run.quick_imports import OPTIONAL


def run(call: Call) -> None:
    names = ("tensorflow", "keras", *OPTIONAL, "trainer.modes.train")
    loaded = [name for name in names if name in sys.modules]
    print(f"{call.store.url}: {loaded}")
