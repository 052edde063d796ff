"""Hides the harmless messages that TensorFlow's C++ code prints while it starts.

    with quiet_start():
        import tensorflow as tf
        tf.config.list_physical_devices()

TF_CPP_MIN_LOG_LEVEL has no effect on messages from before the library is loaded
(https://github.com/tensorflow/tensorflow/issues/100442). A line that is not known to be harmless is
printed when the block ends.
"""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Messages of level INFO in the formats of TensorFlow 2.21 and 2.20, the lines that accompany them,
# and CUDA's error 303: no driver is installed, which is normal on a machine without a GPU.
_HARMLESS = re.compile(
    rb"I0000 |\S+ \S+: I |WARNING: All log messages before absl|To enable the following instr|"
    rb".*cuInit: UNKNOWN ERROR \(303\)"
)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Holds back the process's standard error while the block runs, including that of C++ code.

    Without a folder for temporary files nothing is held back.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
        except OSError:
            yield
            return
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            with contextlib.suppress(OSError):  # standard error is lost
                for line in held:
                    if not _HARMLESS.match(line):
                        os.write(2, line)
