"""Starts runs, and reads the metrics and checkpoints that they leave, for the tests."""

import json

import tensorflow as tf

from configs import default
from configs.schema import rules
from storage.store import open_store
from trainer.machines.preemption import StopRequests
from trainer.modes import train
from trainer.modes.interface import Call
from trainer.run.checkpoints import restore
from trainer.run.clock import Clock

STEPS = 82  # of a run of `run_config`


# The flags of a command that gives none; a free port.
FLAGS = {
    "others": (),
    **{"checkpoint": "best", "text": (), "to": "", "input": "", "output": "", "text_column": ""},
    **{"on_bad_row": "fail", "compare": (), "host": "127.0.0.1", "port": 0, "name": "longhaul"},
}


def call(workdir, config=None, stop=None, **flags):
    """Returns the call of a mode on a workdir, with some flags."""
    stop = stop or StopRequests()
    return Call(open_store(str(workdir)), config, stop, 0.0, **{**FLAGS, **flags})


def start(config, workdir):
    """Trains in `workdir`, or resumes the run in it, to the end."""
    train.train_and_evaluate(config, open_store(str(workdir)), Clock(), StopRequests())


def flags_of(config):
    """Returns the flags that give a run the config."""
    defaults = rules.flatten(default.get_config())
    changes = [
        f"--config.{field}={value}"
        for field, value in rules.flatten(config).items()
        if value != defaults[field]
    ]
    return ["--config=configs/default.py", *changes]


def lines(workdir, *kinds):
    """Returns the parsed lines of metrics.jsonl, of all kinds or of `kinds`."""
    text = open_store(str(workdir)).read("metrics.jsonl")
    parsed = [json.loads(line) for line in text.splitlines()]
    return [line for line in parsed if not kinds or line["kind"] in kinds]


def numbers(workdir):
    """Returns the lines of metrics without the fields that depend on time."""
    timed = ("reviews_per_second", "tokens_per_second", "goodput", "time", "start", "seconds")
    return [{name: line[name] for name in line if name not in timed} for line in lines(workdir)]


def tensors(workdir, step=STEPS):
    """Returns the bytes of each tensor of a checkpoint by name, the object graph left out."""
    found = {}

    def read(path, _):
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_dtype_map().keys()
        found.update({n: reader.get_tensor(n).tobytes() for n in names if "OBJECT_GRAPH" not in n})

    restore(open_store(str(workdir)), str(step), read)
    return found
