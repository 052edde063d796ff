"""The memory that a training takes: estimated from its shapes before, read off the system after.

    estimate(run)       # {"TensorFlow": 800_000_000, "reviews": 49_000_000, ...}, in bytes
    describe(run)       # "about 1.1 GB on a CPU: 800 MB TensorFlow, 49 MB reviews, ..."
    peak()              # bytes

The numbers found by measuring are those of Keras's layers on a CPU. With configs/imdb_lstm.py in
batches of 64 to 256 reviews, of up to 128 and 512 tokens, with layers of 64 to 256 units and in one
or both directions, and evaluated in batches of 64, the estimates were within 5% of the peaks; with
its own batches, the peak of the test was 1.4 GB and the estimate 1.3 GB. With the kernel for CPUs
the peaks were within 10% of the estimates. Other devices keep less of a batch; a start that has to
tokenise the reviews first takes more.
"""

import resource
import sys

import tensorflow as tf

from input_pipeline.training_set import InMemory
from trainer.learning.objectives.language_model import MOST_LOGITS
from trainer.model.language_model import LanguageModel
from trainer.run.start import Run

_TENSORFLOW = 800_000_000  # bytes of a process that trains next to nothing; measured
# Numbers that a layer keeps for the backward pass, for each unit and token slot; measured. In two
# directions there are copies in reverse order too.
_KEPT_ONE_WAY, _KEPT_BOTH_WAYS = 11, 15
_KEPT_TO_EVALUATE = 3  # the same without a backward pass; the embedding counts twice then
_KEPT_LOGITS = 2  # for each logit of a language model; measured
_NUMBER = 4  # bytes of a float32 or a token id


def estimate(run: Run) -> dict[str, int]:
    """Returns the bytes that a process takes at its peak, by what takes them."""
    replicas = len(run.strategy.experimental_local_results(run.state.step))
    parameters = sum(layer.count_params() for layer in run.state.model.layers)
    averages = 1 if run.state.average else 0
    # Weights, two moments of Adam and gradients; the saver's copy has no gradients.
    copies = replicas * (4 + averages) + 3 + averages
    parts = {
        "TensorFlow": _TENSORFLOW,
        "reviews": _NUMBER * _tokens(run),
        "weights and optimizer": _NUMBER * parameters * copies,
        "the widest batch": replicas * _batch(run),
    }
    if isinstance(run.state.model, LanguageModel):
        parts["the output layer"] = replicas * _logits(run)
    return parts


def describe(run: Run) -> str:
    """Returns the estimate in words."""
    parts = estimate(run)
    listed = ", ".join(f"{in_units(size)} {name}" for name, size in parts.items())
    return f"about {in_units(sum(parts.values()))} on a CPU: {listed}"


def peak() -> int:
    """Returns the largest size of this process so far, in bytes of the machine's memory."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def in_units(size: float) -> str:
    """Returns bytes as MB, or as GB from 1 GB on; both are powers of 10."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _tokens(run: Run) -> int:
    """Returns the tokens in memory; of shards no more than two are, which is not counted."""
    train = run.data.train.examples if isinstance(run.data.train, InMemory) else None
    sets = filter(None, (train, run.data.validation, run.data.test))
    return int(sum(reviews.lengths.sum() for reviews in sets))


def _batch(run: Run) -> int:
    """Returns the bytes of the widest batch of a replica: to train on, or to evaluate."""
    config, model = run.config, run.config.model
    replicas, directions = run.strategy.num_replicas_in_sync, 2 if model.bidirectional else 1
    units = directions * sum(model.layer_sizes)
    kept = _KEPT_BOTH_WAYS if model.bidirectional else _KEPT_ONE_WAY
    terms = config.objective.terms
    passes = 1 + (terms.adversarial > 0) + (terms.virtual_adversarial > 0)
    trained = passes * _rows(run)
    evaluated = -(-config.evaluation.batch_size // replicas)
    embedded = model.embedding_size * (width := _width(run))
    states = units * run.state.model.segments.slots(width)
    numbers = max(
        trained * (embedded + kept * states),
        evaluated * (2 * embedded + _KEPT_TO_EVALUATE * states),
    )
    return tf.as_dtype(model.precision).size * numbers


def _logits(run: Run) -> int:
    """Returns the bytes of a replica's logits of words: to train on, or to evaluate."""
    config, words = run.config, len(run.encoding.vocabulary)
    evaluated = min(MOST_LOGITS, config.evaluation.batch_size * _width(run) * words)
    trained = _rows(run) * _width(run) * (config.objective.sampled_words or words)
    trained *= 2 if config.objective.terms.distant else 1
    directions = 2 if config.model.bidirectional else 1
    return _NUMBER * _KEPT_LOGITS * max(directions * trained, evaluated)


def _rows(run: Run) -> int:
    """Returns the reviews that a replica computes at once in training."""
    config = run.config
    rows = config.train.batch_size + config.data.unlabelled_batch_size
    return -(-rows // max(run.strategy.num_replicas_in_sync, config.train.slices))


def _width(run: Run) -> int:
    """Returns the token slots of the longest review to train on."""
    data = run.config.data
    longest = data.max_tokens
    if isinstance(run.data.train, InMemory):
        longest = int(run.data.train.examples.lengths.max())
    return -(-longest // data.width_step) * data.width_step
