"""configs/imdb_best.py on four machines with a GPU each: not run on hardware.

    python -m deploy.submit --dry_run --target=gke --workers=4 \\
        --config=configs/imdb_multiworker.py --config.data.source=shards:gs://BUCKET/imdb \\
        --workdir=gs://BUCKET/runs/imdb-four

configs/imdb_gpu.py says how the shards are made, and configs/imdb_large_batch.py has the accuracy
that its batches reach on a CPU. Time is not measured. Each machine has 64 reviews of a batch; with
fewer, more of a step's time goes into the exchange of gradients.
"""

import ml_collections

from configs import imdb_large_batch


def get_config() -> ml_collections.ConfigDict:
    config = imdb_large_batch.get_config()
    # A machine that is told of no others ends with an error; with 'auto' it would train alone.
    config.strategy.name = "multi_worker"
    return config
