"""Imports TensorFlow and what stands on it in about half the time.

    with without_collection():
        with hidden(*OPTIONAL):
            import keras                # and TensorFlow, which imports Keras by itself
        import trainer.modes.train

Imports make millions of objects that stay until the process ends. By default Python's garbage
collector goes through all of them again and again, then and whenever it runs later.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator

# Keras and TensorFlow import these if they are installed, for functions that nothing here calls.
# Neither requires them.
OPTIONAL = ("matplotlib", "pandas", "PIL", "psutil", "scipy", "sklearn")


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Pauses garbage collection, and exempts from it what there is when the block ends."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Lets imports of packages fail, as if they were not installed, unless they are imported."""
    absent = [name for name in packages if name not in sys.modules]
    # With None an import raises ModuleNotFoundError:
    # https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
