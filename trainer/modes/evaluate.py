"""Evaluates a run on its test split, from its workdir alone.

    evaluate(scoring_config(store, None), store, checkpoint="best")

Training ends with the same test.
"""

import sys

import ml_collections
import numpy as np

from configs.schema.stored import stored_config
from input_pipeline import load
from input_pipeline.examples import Examples
from storage.store import Store
from trainer.learning.metrics import by_length, length_name
from trainer.learning.objectives.objective import Objective, score_metric
from trainer.learning.scorer import Scorer
from trainer.machines.strategy import make_strategy
from trainer.modes.interface import Call
from trainer.run import terminal
from trainer.run.manifest import Manifest
from trainer.run.trained_network import load_trained
from trainer.run.workdir import scoring_config


def run(call: Call) -> None:
    """Runs the mode."""
    if call.config is not None:
        _warn_of_another_source(stored_config(call.store).data.source, call.config.data.source)
    evaluate(scoring_config(call.store, call.config), call.store, call.checkpoint)


def _warn_of_another_source(trained_on: str, tested_on: str) -> None:
    if tested_on != trained_on:
        what = f"the run was trained on {trained_on}; this is a test on {tested_on}"
        print(f"WARNING: {what}", file=sys.stderr)


def evaluate(config: ml_collections.ConfigDict, store: Store, checkpoint: str) -> dict[str, float]:
    """Tests the checkpoint ('best', 'last' or a step) and prints the result."""
    strategy = make_strategy(config)
    with strategy.scope():
        trained = load_trained(config, store, checkpoint)
    reviews = load.load_split(config.data, config.data.test_split, trained.encoding)
    scorer = Scorer(strategy, trained.objective, trained.network, config)
    metrics, _ = run_test(config.data, reviews, trained.objective, scorer, trained.manifest)
    return metrics


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
    outputs = scorer(reviews.shortened(config.max_tokens, config.keep), config.width_step)
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
    terminal.say(f"Checkpoint: {manifest.describe(score)}")
    return metrics, outputs
