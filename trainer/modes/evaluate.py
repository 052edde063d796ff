"""Evaluation of a run on its test split, from its workdir alone.

    evaluate(workdir.stored_config(store), store, checkpoint="best")

Training ends with the same test.
"""

import ml_collections

from input_pipeline import load
from input_pipeline.examples import Examples
from storage.store import Store
from trainer.learning import metrics
from trainer.learning.metrics import Evaluation
from trainer.learning.scorer import Scorer
from trainer.run import trained
from trainer.run.checkpoints import Manifest


def evaluate(config: ml_collections.ConfigDict, store: Store, checkpoint: str) -> Evaluation:
    """Tests the checkpoint ('best', 'last' or a step) and prints the result."""
    scorer, words, manifest = trained.load_scorer(config, store, checkpoint)
    reviews = load.load_split(config.data, config.data.test_split, words)
    return run_test(config.data, reviews, scorer, manifest)


def run_test(
    config: ml_collections.ConfigDict, reviews: Examples, scorer: Scorer, manifest: Manifest
) -> Evaluation:
    """Scores reviews in full length, each once, and prints; `config` is the `data` part."""
    shortened = reviews.shortened(config.max_tokens, config.keep)
    logits = scorer(shortened, config.width_step)
    result = metrics.evaluate(logits, reviews.labels, reviews.lengths)
    print(
        f"Test on {len(reviews):,} reviews of {config.source}, {config.test_split}: "
        f"loss {result.loss:.4f}, AUC {result.auc:.4f}"
    )
    for bound, count, accuracy in result.by_length:
        words_up_to = f"up to {bound}" if bound else "more"
        print(f"  {words_up_to:>9} words: {count:6} reviews, accuracy {accuracy:.3f}")
    print(f"Test Accuracy: {result.accuracy:.3f}")
    print(f"Checkpoint: {describe(manifest)}", flush=True)
    return result


def describe(manifest: Manifest) -> str:
    """A checkpoint in words."""
    accuracy = manifest.validation_accuracy
    return f"step {manifest.step}" + (
        f", validation accuracy {accuracy:.3f}" if accuracy is not None else ""
    )
