"""Evaluates a run on its test split, from its workdir alone.

    evaluate(scoring_config(store, None), store, checkpoint="best")
    evaluate(scoring_config(store, None), store, "best", [other])   # the mean of both runs

Training ends with the same test.
"""

import itertools
import sys
from collections.abc import Sequence

import ml_collections
import numpy as np
import tensorflow as tf

from configs.schema import rules
from configs.schema.stored import stored_config
from input_pipeline import load
from input_pipeline.examples import Examples
from storage.store import Store
from trainer.learning import text_table
from trainer.learning.metrics import by_length, length_name
from trainer.learning.objectives.objective import Objective, score_metric
from trainer.learning.scorer import Scorer
from trainer.machines.strategy import make_strategy
from trainer.modes.interface import Call
from trainer.run import terminal
from trainer.run.ensemble import Member, describe, load_members
from trainer.run.manifest import Manifest
from trainer.run.trained_network import classifier_of
from trainer.run.workdir import scoring_config


def run(call: Call) -> None:
    """Runs the mode."""
    config = scoring_config(call.store, call.config)
    for store in (call.store, *call.others):
        _warn_of_another_source(store, config.data.source)
    evaluate(config, call.store, call.checkpoint, call.others)


def _warn_of_another_source(store: Store, tested_on: str) -> None:
    trained_on = stored_config(store).data.source
    if tested_on != trained_on:
        what = f"{store.url} was trained on {trained_on}; this is a test on {tested_on}"
        print(f"WARNING: {what}", file=sys.stderr)


def evaluate(
    config: ml_collections.ConfigDict,
    store: Store,
    checkpoint: str,
    others: Sequence[Store] = (),
) -> dict[str, float]:
    """Tests the checkpoint ('best', 'last' or a step), prints the result and returns the metrics.

    With `others` it tests the mean probabilities of the runs in all these workdirs. The reviews are
    those that `config`, of the run in `store`, names; each run reads them with its own vocabulary.
    """
    strategy = make_strategy(config)
    with strategy.scope():
        members = load_members(config, [store, *others], checkpoint)
    if others:
        for member in members:
            classifier_of(member.store, member.trained, "evaluate of several workdirs")
    source, split = load.open_reviews(config.data), config.data.test_split
    reviews = source.load_split(split, members[0].trained.encoding)
    # One run's reviews after the other: each run has its own token ids.
    own = (source.load_split(split, member.trained.encoding) for member in members[1:])
    each = [
        _score(strategy, *pair)
        for pair in zip(members, itertools.chain([reviews], own), strict=True)
    ]
    objective, outputs = members[0].trained.objective, each[0]
    if others:
        outputs = objective.averaged(each)
        _compare(members, objective, [*each, outputs], reviews)
    return _show(config.data, reviews, objective, outputs, describe(members))


def run_test(
    config: ml_collections.ConfigDict,
    reviews: Examples,
    objective: Objective,
    scorer: Scorer,
    manifest: Manifest,
) -> tuple[dict[str, float], np.ndarray]:
    """Scores reviews in full length, each once, and prints; `config` is the `data` part.

    Returns metrics by name, and the objective's outputs <float32>[reviews, ...].
    """
    outputs = _outputs(config, reviews, scorer)
    checkpoint = manifest.describe(score_metric(objective))
    return _show(config, reviews, objective, outputs, checkpoint), outputs


def _score(strategy: tf.distribute.Strategy, member: Member, reviews: Examples) -> np.ndarray:
    """Returns the objective's outputs <float32>[reviews, ...] of one run's network."""
    rules.check_replicas(member.config, strategy.num_replicas_in_sync)
    trained = member.trained
    scorer = Scorer(strategy, trained.objective, trained.network, member.config)
    return _outputs(member.config.data, reviews, scorer)


def _outputs(config: ml_collections.ConfigDict, reviews: Examples, scorer: Scorer) -> np.ndarray:
    return scorer(reviews.shortened(config.max_tokens, config.keep), config.width_step)


def _compare(
    members: Sequence[Member],
    objective: Objective,
    outputs: Sequence[np.ndarray],
    reviews: Examples,
) -> None:
    """Prints a table of metrics by run; the last of the outputs are those of the mean."""
    names = [member.name for member in members]
    terminal.say(
        f"The mean of {len(names)} runs, on the reviews that the config of {names[0]} names"
    )
    metrics = [objective.evaluate(values, reviews) for values in outputs]
    rows = [("run", *metrics[0])]
    for name, found in zip([*names, "mean"], metrics, strict=True):
        rows.append((name, *(f"{value:.4f}" for value in found.values())))
    for line in text_table.lines(rows):
        terminal.say(f"  {line}")


def _show(
    config: ml_collections.ConfigDict,
    reviews: Examples,
    objective: Objective,
    outputs: np.ndarray,
    checkpoint: str,
) -> dict[str, float]:
    """Prints what outputs <float32>[reviews, ...] are worth; returns the metrics by name."""
    metrics = objective.evaluate(outputs, reviews)
    score = score_metric(objective)
    values = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if name != score)
    terminal.say(
        f"Test on {len(reviews):,} reviews of {config.source}, {config.test_split}: {values}"
    )
    for bound, ids in by_length(reviews.lengths):
        value = objective.evaluate(outputs[ids], reviews.take(ids))[score]
        terminal.say(f"  {length_name(bound):>9} tokens: {len(ids):6} reviews, {score} {value:.3f}")
    for line in objective.tables(outputs, reviews):
        terminal.say(f"  {line}")
    terminal.result(f"Test {score.title()}: {metrics[score]:.3f}")
    terminal.say(f"Checkpoint: {checkpoint}")
    return metrics
