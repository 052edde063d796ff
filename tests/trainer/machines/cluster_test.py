"""TF_CONFIG as launchers and cloud services set it, well-formed or not."""

import json
import os
import subprocess
import sys

import pytest

from storage.errors import UserError
from trainer.machines import cluster

CLUSTER = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}


def tf_config(addresses=None, role="worker", index=0, **extra):
    content = {"cluster": addresses or CLUSTER, "task": {"type": role, "index": index}}
    return json.dumps({**content, **extra})


def test_chief_has_rank_0_and_workers_follow():
    parsed = cluster.parse(tf_config(index=1))
    assert parsed.addresses == ("a:1", "b:2", "c:3")
    assert (parsed.rank, parsed.is_chief) == (2, False)
    assert cluster.parse(tf_config(role="chief")).is_chief


def test_first_worker_is_chief_of_a_cluster_without_one():
    addresses = {"worker": ["b:2", "c:3"]}
    assert cluster.parse(tf_config(addresses)).is_chief
    assert not cluster.parse(tf_config(addresses, index=1)).is_chief


def test_unknown_keys_are_ignored_and_an_index_may_be_a_string():
    addresses = {**CLUSTER, "evaluator": ["d:4"]}
    task = {"type": "worker", "index": "1", "trial": "7", "cloud": "x"}
    text = json.dumps({"cluster": addresses, "task": task, "environment": "cloud", "job": "{}"})
    assert cluster.parse(text).rank == 2


@pytest.mark.parametrize("text", ["", " ", "{}", '{"cluster": {}}', tf_config({"chief": ["a:1"]})])
def test_single_machine_has_no_cluster(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert cluster.from_environment() is None
    monkeypatch.delenv("TF_CONFIG")
    assert cluster.from_environment() is None


def test_process_that_trains_alone_for_lack_of_a_task_says_so_once():
    program = "from trainer.machines.cluster import from_environment as f; print(f(), f())"
    text = json.dumps({"cluster": {"worker": ["a:1"]}})
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TF_CONFIG": text}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "None None\n"
    assert done.stderr.count("TF_CONFIG has no task") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", r"TF_CONFIG: got \[\], accepted is a JSON object"),
        ('{"cluster": []}', r"TF_CONFIG: cluster: got \[\]"),
        (tf_config({"workers": ["a:1", "b:2"]}), r"got the role 'workers', accepted are 'chief'"),
        (tf_config({**CLUSTER, "ps": ["d:4"]}), "got the role 'ps'"),
        (tf_config({"chief": "a:1", "worker": ["b:2"]}), r"cluster\.chief: got 'a:1'.*host:port"),
        (tf_config({"worker": ["b", "c:3"]}), r"cluster\.worker: got \['b', 'c:3'\]"),
        (json.dumps({"cluster": CLUSTER}), "TF_CONFIG: task: got None"),
        (tf_config(role="ps"), r"task\.type: got 'ps', accepted is one of 'chief', 'worker'"),
        (tf_config(index=2), r"task\.index: got 2, accepted is an integer from 0 to 1"),
        (tf_config(index=-1), r"task\.index: got -1"),
        (tf_config(index="x"), r"task\.index: got 'x'"),
    ],
)
def test_malformed_tf_config_is_refused_in_one_line_that_names_the_key(text, message):
    with pytest.raises(UserError, match=message) as error:
        cluster.parse(text)
    assert "\n" not in str(error.value)
