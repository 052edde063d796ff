"""A mode for the tests: it prints which of TensorFlow, Keras and `train` are imported."""

import sys

from trainer.modes.interface import Call


def run(call: Call) -> None:
    names = ("tensorflow", "keras", "trainer.modes.train")
    loaded = [name for name in names if name in sys.modules]
    print(f"{call.store.url}: {loaded}")
