"""configs/imdb_best.py on a TPU v5e of four cores, in bfloat16: not run on hardware.

    python -m trainer --config=configs/imdb_tpu.py --workdir=gs://BUCKET/runs/imdb-tpu \\
        --config.data.source=shards:gs://BUCKET/imdb

To see how the TPU's compiler translates the training step, on a machine without a TPU:

    python -m trainer.tpu_check --config=configs/imdb_tpu.py --topology=v5e:2x2

docs/tpu.md shows why its batches and widths are what they are. In float32 on a CPU
(--config.strategy.name=default --config.model.precision=float32) it reaches a test accuracy of
0.912. Its batches of 256 give each core 64 reviews. With fewer, a time step issues nearly as many
instructions for less work; with more, the activations kept for the gradients no longer fit the
core's fast memory.
"""

import ml_collections

from configs import imdb_large_batch


def get_config() -> ml_collections.ConfigDict:
    config = imdb_large_batch.get_config()
    # Each width is two programs to compile, without adversarial training and with it.
    config.data.width_step = 128
    config.strategy.name = "tpu"
    # The native number format of the matrix units.
    config.model.precision = "bfloat16"
    return config
