"""Runs as records, for tests of the pages that show them."""

from configs import default
from configs.schema.rules import flatten
from input_pipeline.labels import SENTIMENTS, Labels
from trainer.run.record import Line, Record

TOKENS = ("<pad>", "<unk>", "film", "dull", "<script>alert(1)</script>")
TIME = {"start": 0.2, "training": 0.7, "compile": 0.05, "evaluation": 0.05}


def line(kind, step, time=None, **values):
    """Returns a line of metrics."""
    return Line(kind, step, {name: float(value) for name, value in values.items()}, time or {})


def epochs(losses, steps=10, **values):
    """Returns the lines of epochs with (training loss, validation loss, accuracy) each."""
    found = []
    for number, (trained, validated, accuracy) in enumerate(losses, start=1):
        step = number * steps
        norms = {"gradient_norm": 0.5, "learning_rate": 1e-3, "tokens_per_second": 3e4}
        found += [
            line("train", step - 1, loss=trained, accuracy=accuracy, **norms, **values),
            line("validation", step, loss=validated, accuracy=accuracy),
            line("epoch", step, TIME, loss=trained, accuracy=accuracy, padding=0.1, **values),
        ]
    return found


LEARNING = ((0.6, 0.5, 0.8), (0.3, 0.35, 0.85), (0.1, 0.3, 0.9), (0.05, 0.2999, 0.89))


def record_of(
    lines=None, results=None, labels=None, url="runs/imdb", tested=True, **config
) -> Record:
    """Returns a run of four epochs of 10 steps, tested at step 40.

    `config` are fields of the config, with __ for dots.
    """
    lines = epochs(LEARNING, start=1, seconds=60) if lines is None else list(lines)
    if tested:
        lines.append(line("test", 40, loss=0.3, accuracy=0.88, checkpoint=40))
    complete = default.get_config()
    with complete.unlocked():
        for field, value in config.items():
            if field.replace("__", ".") not in flatten(complete):
                raise ValueError(field)
            section, name = field.split("__")
            complete[section][name] = value
    names = SENTIMENTS if labels is None else Labels(tuple(labels))
    return Record(url, complete, names, TOKENS, lines, results)
