"""configs/imdb_best.py on one machine with 1 to 8 GPUs: not run on hardware.

    python -m deploy.submit --dry_run --target=gke \\
        --config=configs/imdb_gpu.py --config.data.source=shards:gs://BUCKET/imdb \\
        --workdir=gs://BUCKET/runs/imdb-gpu

The shards are made once, on any machine:

    python -m trainer --mode=prepare --config=configs/imdb_gpu.py --workdir=gs://BUCKET/imdb

configs/imdb_large_batch.py has the accuracy that its batches reach on a CPU. Time is not measured.
Each of eight GPUs has 32 reviews of a batch.
"""

import ml_collections

from configs import imdb_large_batch


def get_config() -> ml_collections.ConfigDict:
    config = imdb_large_batch.get_config()
    # 'mirrored' on a machine with several GPUs.
    config.strategy.name = "auto"
    # Newer GPUs multiply float32 as TF32 in their tensor cores.
    config.model.precision = "float32"
    return config
