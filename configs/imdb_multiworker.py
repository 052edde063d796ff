"""The network of configs/imdb.py on four machines with a GPU each: not run on hardware.

    python -m deploy.submit --dry_run --target=gke --workers=4 \\
        --config=configs/imdb_multiworker.py --config.data.source=shards:gs://BUCKET/imdb \\
        --workdir=gs://BUCKET/runs/imdb-four

The shards are made once, on any machine:

    python -m trainer --mode=prepare --config=configs/imdb_multiworker.py --workdir=gs://BUCKET/imdb

Time is not measured; of the batch, epochs and learning rate configs/imdb_tpu.py says what accuracy
they reach on a CPU.
"""

import ml_collections

from configs import default


def get_config() -> ml_collections.ConfigDict:
    config = default.get_config()
    # Here so that it can be tried without a bucket; the command above reads prepared shards.
    config.data.source = "tfds:imdb_reviews"
    # A machine that finds itself alone stops and says so, and does not train on its own.
    config.strategy.name = "multi_worker"
    config.model.pooling = "concat"
    config.model.dropout = 0.3
    # Newer GPUs multiply it as TF32 in their tensor cores.
    config.model.precision = "float32"
    # 64 reviews a machine: with fewer, more of a step is the exchange of gradients.
    config.train.batch_size = 256
    config.train.epochs = 4
    config.optimizer.learning_rate = 4e-3
    config.optimizer.warmup_steps = 20
    config.optimizer.schedule = "cosine"
    return config
