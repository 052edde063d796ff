"""The numbers of threads that TensorFlow is told."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from storage.errors import UserError
from trainer.machines import threads

BOTH = {"TF_NUM_INTRAOP_THREADS": "4", "TF_NUM_INTEROP_THREADS": "9"}
# Each case: on CPUs, fields, environment; the cores are 6.
CASES = {
    "chosen on CPUs": (True, (0, 0), {}),
    "fields": (True, (3, 5), {}),
    "one field": (True, (3, 0), {}),
    "accelerators": (False, (0, 0), {}),
    "fields with accelerators": (False, (2, 4), {}),
    "environment": (True, (0, 0), BOTH),
    "part of the environment": (True, (0, 0), {"TF_NUM_INTEROP_THREADS": "9"}),
    "empty environment": (True, (0, 0), {"TF_NUM_INTRAOP_THREADS": ""}),
    "fields before the environment": (True, (2, 0), {"TF_NUM_INTRAOP_THREADS": "4"}),
}
_SCRIPT = """
import json, os, sys
import tensorflow as tf
from configs import default
from trainer.machines import threads

threads.usable_cores = lambda: 6
threading, strategy, found = tf.config.threading, default.get_config().strategy, {}

def numbers():
    return (
        threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()
    )

for name, (on_cpus, fields, environment) in json.loads(sys.argv[1]).items():
    os.environ.update(environment)
    strategy.intra_op_threads, strategy.inter_op_threads = fields
    threads.set_threads(strategy, on_cpus)
    found[name] = numbers()
    threading.set_intra_op_parallelism_threads(0)
    threading.set_inter_op_parallelism_threads(0)
    for variable in environment:
        del os.environ[variable]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def numbers():
    """Returns what TensorFlow is told for each case, by a process that does not run it yet."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_NUM_")}
    command = [sys.executable, "-c", _SCRIPT, json.dumps(CASES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("case", "intra_op", "inter_op"),
    [
        ("chosen on CPUs", 1, 6),
        ("fields", 3, 5),
        ("one field", 3, 6),
        ("accelerators", 0, 0),  # TensorFlow's default
        ("fields with accelerators", 2, 4),
        ("environment", 0, 0),
        ("part of the environment", 1, 0),
        ("empty environment", 1, 6),
        ("fields before the environment", 2, 6),
    ],
)
def test_fields_win_then_the_environment_then_the_choice(numbers, case, intra_op, inter_op):
    assert numbers[case] == [intra_op, inter_op]


@pytest.fixture
def running():
    """Returns the two numbers of threads of this process's TensorFlow, which it has started."""
    tf.constant(0)
    threading = tf.config.threading
    return (
        threading.get_intra_op_parallelism_threads(),
        threading.get_inter_op_parallelism_threads(),
    )


def test_number_that_tensorflow_runs_with_is_accepted(config, running):
    config.strategy.intra_op_threads, config.strategy.inter_op_threads = running
    threads.set_threads(config.strategy, on_cpus=True)


@pytest.mark.parametrize("field", ["intra_op_threads", "inter_op_threads"])
def test_another_number_is_refused_once_tensorflow_runs(config, running, field):
    config.strategy[field] = 77
    with pytest.raises(UserError, match=rf"^config\.strategy\.{field}: got 77, but .*new process$"):
        threads.set_threads(config.strategy, on_cpus=True)


def test_choice_yields_to_a_tensorflow_that_runs(config, running, monkeypatch):
    monkeypatch.setattr(threads, "usable_cores", lambda: 77)
    threads.set_threads(config.strategy, on_cpus=True)
    assert tf.config.threading.get_inter_op_parallelism_threads() == running[1]
