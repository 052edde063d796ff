"""A mode for the tests: it prints its workdirs, and which of some packages are imported."""

import sys

from trainer.modes.interface import Call
from trainer.run.quick_imports import OPTIONAL


def run(call: Call) -> None:
    names = ("tensorflow", "keras", *OPTIONAL, "trainer.modes.train")
    loaded = [name for name in names if name in sys.modules]
    print(f"{', '.join(store.url for store in (call.store, *call.others))}: {loaded}")
