"""The network of configs/imdb.py on a TPU v5e with four cores, in bfloat16: not run on hardware.

    python -m trainer --config=configs/imdb_tpu.py --workdir=gs://BUCKET/runs/imdb-tpu

What the TPU's compiler makes of its step, without a TPU:

    python -m trainer.tpu_check --config=configs/imdb_tpu.py --topology=v5e:2x2

Time, accuracy and how well it learns with so large a batch are not measured.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    config = default.get_config()
    config.data.source = "tfds:imdb_reviews"
    # Each width is a program of its own to compile, so they are few: 128, 256, 384 and 512. Wider
    # steps cost more in padding than the fewer programs are worth.
    config.data.width_step = 128
    config.strategy.name = "tpu"
    config.model.pooling = "concat"
    config.model.dropout = 0.3
    # The matrix units' own number format.
    config.model.precision = "bfloat16"
    # 128 reviews a core. With fewer, a time step issues nearly as many instructions for less; with
    # more, an epoch has so few steps that padding takes back what is gained.
    config.train.batch_size = 512
    config.train.epochs = 6
    config.optimizer.learning_rate = 4e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = "cosine"
    return config
