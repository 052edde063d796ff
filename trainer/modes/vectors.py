"""Mode `vectors`: trains word vectors on the reviews that a run trains on, with its tokens.

    train_vectors(config, open_store("runs/imdb"))

It writes vectors.txt into the workdir, in the format that `config.model.vectors` reads. It is for a
run that has not started: the tokens are those that it will have, or those in the workdir.

The vectors are those of skip-gram with negative sampling (Mikolov et al. 2013, arXiv:1310.4546), by
the library gensim. The same reviews and config give the same bytes: gensim uses one thread, since
several overwrite each other's work in an order of their own, and takes `config.seed`.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence

import ml_collections
import numpy as np

from input_pipeline import load, streaming, vectors
from input_pipeline.encoding import read_encoding
from input_pipeline.training_set import TrainingSet
from storage.errors import UserError
from storage.store import Store
from trainer.modes.interface import Call
from trainer.run import terminal
from trainer.run.workdir import initial_encoding, require_no_shards

_EPOCHS, _WINDOW, _NEGATIVE = 5, 5, 5  # gensim's defaults, as those that follow here
_COMMON = 1e-3  # words that are more frequent than this are left out the more often
_FIRST_RATE, _LAST_RATE = 0.025, 1e-4
_LONGEST = 10_000  # tokens; gensim leaves out what follows them in a text


def run(call: Call) -> None:
    """Runs the mode."""
    if importlib.util.find_spec("gensim") is None:
        raise UserError("--mode: vectors needs gensim; pip install 'longhaul[vectors]'")
    train_vectors(call.config, call.store)


def train_vectors(config: ml_collections.ConfigDict, store: Store) -> None:
    """Trains vectors of `model.embedding_size` numbers, and writes them to a workdir."""
    require_no_shards(store)
    data = config.data.copy_and_resolve_references()
    data.unlabelled_batch_size = 0  # reviews without labels are then read as the others are
    reviews = load.open_reviews(data)
    encoding = read_encoding(store) or initial_encoding(config, reviews)
    train, _ = reviews.load_training(encoding, in_memory=False)
    tokens = encoding.vocabulary.tokens
    texts = list(_texts(train, data.width_step))
    words, rows = _skip_gram(texts, tokens, config.model.embedding_size, config.seed)
    store.write(vectors.VECTORS_FILE, vectors.to_bytes(words, rows))
    terminal.result(
        f"Vectors of {len(words):,} words, from {len(train):,} reviews: "
        f"{store.url}/{vectors.VECTORS_FILE}"
    )
    terminal.say("A new run starts from this file with --config.model.vectors=FILE")


def _texts(reviews: TrainingSet, width_step: int) -> Iterator[np.ndarray]:
    """Yields the ids <int32>[tokens] of each review, as the model reads it; long ones in pieces."""
    epoch = reviews.epoch(batch_size=64, width_step=width_step, seed=0, epoch=0)
    with epoch.faults():
        for batch in epoch.batches(replicas=1):
            tokens, lengths, _, weights = (part.numpy() for part in batch)
            for row in np.flatnonzero(weights):
                ids = tokens[row, : lengths[row]].copy()  # the batch itself is not kept
                yield from np.split(ids, range(_LONGEST, len(ids), _LONGEST))


def _skip_gram(
    texts: Sequence[np.ndarray], tokens: Sequence[str], size: int, seed: int
) -> tuple[list[str], np.ndarray]:
    """Returns the tokens that occur in some texts of ids, and their vectors <float32>[words, size].

    They are in the order of their ids. The token of unknown words is among them.
    """
    from gensim.models import Word2Vec

    with streaming.progress("Training vectors", len(texts) * (1 + _EPOCHS)) as advance:
        model = Word2Vec(
            _Sentences(texts, tokens, advance),
            vector_size=size,
            sg=1,
            negative=_NEGATIVE,
            window=_WINDOW,
            epochs=_EPOCHS,
            sample=_COMMON,
            alpha=_FIRST_RATE,
            min_alpha=_LAST_RATE,
            min_count=1,  # the vocabulary has chosen
            workers=1,
            seed=seed,
        )
    words = [token for token in tokens if token in model.wv]
    return words, model.wv[words]


class _Sentences:
    """Texts as lists of words, made when they are read; gensim reads them once an epoch."""

    def __init__(
        self, texts: Sequence[np.ndarray], tokens: Sequence[str], advance: Callable[[int], object]
    ):
        self._texts, self._tokens, self._advance = texts, tokens, advance

    def __iter__(self) -> Iterator[list[str]]:
        for ids in self._texts:
            yield [self._tokens[number] for number in ids]
            self._advance(1)
