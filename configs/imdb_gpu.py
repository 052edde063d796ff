"""The network of configs/imdb.py on one machine with 1 to 8 GPUs: not run on hardware.

    python -m deploy.submit --dry_run --target=gke \\
        --config=configs/imdb_gpu.py --config.data.source=shards:gs://BUCKET/imdb \\
        --workdir=gs://BUCKET/runs/imdb-gpu

The shards are made once, on any machine:

    python -m trainer --mode=prepare --config=configs/imdb_gpu.py --workdir=gs://BUCKET/imdb

Time is not measured; of the batch, epochs and learning rate configs/imdb_tpu.py says what accuracy
they reach on a CPU.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    config = default.get_config()
    # Here so that it can be tried without a bucket; the command above reads prepared shards.
    config.data.source = "tfds:imdb_reviews"
    # 'mirrored' where there are several GPUs.
    config.strategy.name = "auto"
    config.model.pooling = "concat"
    config.model.dropout = 0.3
    # Newer GPUs multiply it as TF32 in their tensor cores.
    config.model.precision = "float32"
    # Four times that of configs/imdb.py, and 32 reviews for each of eight GPUs.
    config.train.batch_size = 256
    config.train.epochs = 4
    config.optimizer.learning_rate = 4e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = "cosine"
    return config
