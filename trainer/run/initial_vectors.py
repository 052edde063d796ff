"""A fresh run's first embedding: the word vectors of the file `model.vectors`.

load_vectors(config, encoding.vocabulary, state)
"""

from pathlib import Path

import ml_collections
import tensorflow as tf

from input_pipeline import vectors as word_vectors
from input_pipeline.vocabulary import Vocabulary
from storage.errors import UserError
from trainer.learning.train_state import TrainState
from trainer.run import terminal


def load_vectors(
    config: ml_collections.ConfigDict, vocabulary: Vocabulary, state: TrainState
) -> None:
    """Sets the rows of the words that the file has; a no-op without a file.

    The other rows keep their random start. The vectors are taken as they are: their numbers are
    some ten times as large as those of the random start, and so Adam, whose steps have one size for
    all, changes them slowly. Raises UserError when the file can't be used.
    """
    if not config.model.vectors:
        return
    try:
        path = Path(config.model.vectors).expanduser()
    except RuntimeError as error:  # no home folder
        raise UserError(f"config.model.vectors: {error}; give a full path") from error
    size = config.model.embedding_size
    ids, vectors = word_vectors.read(path, vocabulary.tokens, size)
    for network in filter(None, (state.model, state.average)):
        table = network.embedding.embeddings.value
        table.assign(tf.tensor_scatter_nd_update(table, ids[:, None], vectors))
    terminal.say(
        f"Word vectors of {path}: for {len(ids):,} of the {len(vocabulary) - 1:,} words of the "
        "vocabulary"
    )
