"""The worker pools of a request as processes on this machine, which train together."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from configs import default
from configs.schema import rules
from deploy import package
from deploy.targets.vertex.request import make_request
from tests.deploy.examples import REPOSITORY
from tests.deploy.targets.vertex.jobs import make_options, make_vertex_job


def trainer_flags(config, reviews, folder):
    """Returns the command line of a run of six steps."""
    for split in ("train", "test"):
        lines = (reviews / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (folder / f"{split}.jsonl").write_text("".join(lines[:60]))
    config.data.source = f"files:{folder}"
    config.train.update(batch_size=8, epochs=1)
    config.strategy.name = "multi_worker"  # a worker that doesn't see the other refuses it
    usual = rules.flatten(default.get_config())
    changed = {k: v for k, v in rules.flatten(config).items() if v != usual[k]}
    return ["--config=configs/default.py", *(f"--config.{k}={v}" for k, v in changed.items())]


def tf_configs():
    """Yields TF_CONFIG for the chief and for a worker, with everything that Vertex AI sets."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        chief, worker = (f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other))
    cluster = {"chief": [chief], "worker": [worker]}
    for role in cluster:
        task = {"type": role, "index": 0, "trial": "0", "cloud": "somewhere"}
        content = {"cluster": cluster, "environment": "cloud", "task": task, "job": "{}"}
        yield json.dumps(content)


@pytest.mark.slow
def test_worker_pools_run_with_the_tf_config_that_vertex_sets(config, reviews, tmp_path, cloud):
    archive = package.build(REPOSITORY)
    workdir = f"gs://bucket/{tmp_path.name}/run"
    job = make_vertex_job(
        arguments=(*trainer_flags(config, reviews, tmp_path), f"--workdir={workdir}"),
        workdir=workdir,
        archive_url=package.upload(archive, f"gs://bucket/{tmp_path.name}"),
        digest=archive.digest,
        config=config,
    )
    spec = make_request(job, make_options(workers=2, accelerator="")).custom_job.job_spec
    folder = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    processes = []
    for pool, tf_config in zip(spec.worker_pool_specs, tf_configs(), strict=True):
        container = pool.container_spec
        given = {"TF_CONFIG": tf_config, "AIP_CHECKPOINT_DIR": "gs://bucket/elsewhere/checkpoints/"}
        given |= {variable.name: variable.value for variable in container.env}
        process = subprocess.Popen(
            [*container.command, *container.args],
            env={**environment, **given},
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        processes.append(process)
    results = [(process.communicate()[0], process.returncode) for process in processes]
    assert [code for _, code in results] == [0, 0], results
    written = cloud.objects("bucket")
    assert f"{tmp_path.name}/run/config.json" in written
    assert cloud.objects("bucket")[f"{tmp_path.name}/run/logs/imdb.exit"] == b"0\n"
    assert not any(name.startswith("elsewhere") for name in written)
