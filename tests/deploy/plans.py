"""Plans of jobs whose workdir is in the bucket of the tests."""

import functools
from unittest import mock

from configs import imdb_gpu, imdb_tpu
from deploy import package
from deploy.defaults import Defaults
from deploy.job import Submission
from deploy.targets.target import load, make_options

# The tree doesn't change while tests run, so one archive of it serves them all.
build_once = functools.cache(package.build)


def make_plan(target, folder, arguments, config, name="", **options):
    """Plans a job; its workdir is named after the test's own folder."""
    workdir = f"gs://bucket/{folder.name}/a"
    submission = Submission(name, arguments, config, workdir, Defaults())
    with mock.patch.object(package, "build", build_once):
        return load(target).prepare(submission, make_options(target, options))


def vertex_plan(folder, arguments=("--config=configs/imdb_gpu.py",), **options):
    options = {"region": "us-central1", **options}
    return make_plan("vertex", folder, arguments, imdb_gpu.get_config(), **options)


def tpu_plan(folder, **options):
    options = {"zone": "us-west4-a", **options}
    arguments = ("--config=configs/imdb_tpu.py",)
    return make_plan("tpu_vm", folder, arguments, imdb_tpu.get_config(), "imdb", **options)


def gke_plan(folder):
    arguments = ("--config=configs/imdb_gpu.py",)
    return make_plan("gke", folder, arguments, imdb_gpu.get_config(), "imdb")
