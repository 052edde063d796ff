"""Holds back what TensorFlow's C++ says on every machine while it starts.

    with quiet_start():
        import tensorflow as tf
        tf.config.list_physical_devices()

TF_CPP_MIN_LOG_LEVEL has no say before the library is loaded (github.com/tensorflow/tensorflow
issue 100442). Whatever is not known to be harmless is printed when the block ends.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Notes of information in the forms of TensorFlow 2.21 and 2.20, what goes with them, and CUDA's
# 303: there is no driver, as on any CPU machine.
_HARMLESS = re.compile(
    rb"I0000 |\S+ \S+: I |WARNING: All log messages before absl|To enable the following instr|"
    rb".*cuInit: UNKNOWN ERROR \(303\)"
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Diverts the process's standard error, C++ and all, for as long as the block runs."""
    with tempfile.TemporaryFile() as held:
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not _HARMLESS.match(line):
                    os.write(2, line)
