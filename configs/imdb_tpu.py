"""The network of configs/imdb.py on a TPU v5e with four cores, in bfloat16: not run on hardware.

    python -m trainer --config=configs/imdb_tpu.py --workdir=gs://BUCKET/runs/imdb-tpu \\
        --config.data.source=shards:gs://BUCKET/imdb

What the TPU's compiler makes of its step, without a TPU:

    python -m trainer.tpu_check --config=configs/imdb_tpu.py --topology=v5e:2x2

docs/tpu.md shows why its batches and widths are what they are. The same in float32 on two CPU cores
(--config.strategy.name=default --config.model.precision=float32) has a validation accuracy of 0.889
and a test accuracy of 0.880.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    config = default.get_config()
    config.data.source = "tfds:imdb_reviews"
    # Each width is a program of its own to compile, eight at most: 64, 128, ... 512.
    config.data.width_step = 64
    config.strategy.name = "tpu"
    config.model.pooling = "concat"
    config.model.dropout = 0.3
    # The matrix units' own number format.
    config.model.precision = "bfloat16"
    # 64 reviews a core. With fewer, a time step issues nearly as many instructions for less; with
    # more, what the steps keep for their gradients no longer fits the core's fast memory.
    config.train.batch_size = 256
    config.train.epochs = 4
    config.optimizer.learning_rate = 4e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = "cosine"
    return config
