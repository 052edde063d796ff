"""The embedding of the vocabulary for TensorBoard's projector.

    write(store, "tensorboard/test", Embedding(tokens, vectors), claim.check)

Vectors are a table of text, since the plugin takes binary ones only when their bytes happen not to
be UTF-8. 20,000 vectors of 128 numbers take 22 MB.
"""

import io
from collections.abc import Sequence

import numpy as np
from google.protobuf import text_format
from tensorboard.plugins.projector.metadata import PROJECTOR_FILENAME
from tensorboard.plugins.projector.projector_config_pb2 import EmbeddingInfo, ProjectorConfig

from storage.store import Check, Store
from trainer.run.writers.writer import Embedding

_VECTORS, _TOKENS = "vocabulary.tsv", "vocabulary_metadata.tsv"
_MOST_TOKENS = 100_000  # the plugin's page asks for no more
_SHOWN = str.maketrans({"\t": "\\t", "\n": "\\n", "\r": "\\r"})


def write(store: Store, folder: str, embedding: Embedding, check: Check) -> None:
    """Writes vectors, tokens and, last, the file by which the plugin finds them.

    Of a large vocabulary it writes the most frequent tokens, which come first.
    """
    vectors = embedding.vectors[:_MOST_TOKENS]
    store.write(f"{folder}/{_VECTORS}", _table(vectors), check)
    store.write(f"{folder}/{_TOKENS}", _rows(embedding.tokens[:_MOST_TOKENS]), check)
    info = EmbeddingInfo(
        tensor_name="vocabulary",
        tensor_shape=vectors.shape,
        tensor_path=_VECTORS,
        metadata_path=_TOKENS,
    )
    config = text_format.MessageToString(ProjectorConfig(embeddings=[info]))
    store.write(f"{folder}/{PROJECTOR_FILENAME}", config.encode(), check)


def _table(vectors: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savetxt(file, vectors, fmt="%.4g", delimiter="\t")
    return file.getvalue()


def _rows(tokens: Sequence[str]) -> bytes:
    """Returns a table with a heading, which the plugin expects above two columns or more."""
    rows = [f"{token.translate(_SHOWN)}\t{number}" for number, token in enumerate(tokens)]
    return "".join(f"{row}\n" for row in ["token\tid", *rows]).encode()
