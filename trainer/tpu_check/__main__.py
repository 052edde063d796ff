"""Checks, on a machine without a TPU, whether and how a config's training step compiles for one.

    pip install 'longhaul[tpu-check]'
    python -m trainer.tpu_check --config=configs/imdb_tpu.py --topology=v5e:2x2

Compiles the step with the TPU's own compiler, at each width of the run's batches, and prints what
the compiler's output says about the programs. The exit code is 1 when a width does not compile.
"""

import os
import sys

from absl import flags

from configs.schema import command_line
from storage.errors import UserError
from trainer.tpu_check import check

_CONFIG = command_line.define_config()
_TOPOLOGY = flags.DEFINE_string("topology", "v5e:2x2", "A TPU and its shape, such as v5e:2x2.")


def main(argv: list[str]) -> None:
    """Prints the report; exits with code 1 and one line for a UserError."""
    if argv[1:]:
        sys.exit(f"error: {argv[1]!r}: not a flag; quote a value that has spaces")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported
    try:
        if _CONFIG.value is None:
            raise UserError("--config: missing; give a config such as configs/imdb_tpu.py")
        check.check_config(_CONFIG.value, _TOPOLOGY.value)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    command_line.run(main)
