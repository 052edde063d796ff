"""The model that a server answers with: a checkpoint of a run, or an export.

    model = from_run(config, store, "best")
    model.predict([b"A film to remember."])     # <float32>[1, labels]

Both are traced and have predicted once, so that no request waits for that.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np
import tensorflow as tf

from storage import scratch
from storage.errors import UserError
from storage.store import Store
from trainer.learning.explainer import Explainer, Explanation
from trainer.run import model_card
from trainer.run.trained_network import load_predictor
from trainer.serving.batcher import Predict

_STEP = re.compile(r"^- Checkpoint: step (\d+)$", re.MULTILINE)
_WARM_UP = "A film to remember."


class ServedModel(NamedTuple):
    """A model and what clients are told about it."""

    version: int  # the checkpoint's step
    labels: tuple[str, ...]
    predict: Predict
    explain: Callable[[str], Explanation] | None  # None for an export


def from_run(config: ml_collections.ConfigDict, store: Store, checkpoint: str) -> ServedModel:
    """Loads a checkpoint ('best', 'last' or a step) of a run; UserError as `load_predictor`."""
    predictor, trained = load_predictor(config, store, checkpoint, "serve")
    labels = trained.encoding.labels.names
    explainer = Explainer(predictor, labels)

    def predict(texts: Sequence[bytes]) -> np.ndarray:
        return predictor(tf.constant(list(texts), tf.string)).numpy()

    predict([_WARM_UP.encode()])
    explainer.explain(_WARM_UP)
    return ServedModel(trained.manifest.step, labels, predict, explainer.explain)


def from_export(store: Store) -> ServedModel:
    """Loads an export; UserError when it can't be read or is no classifier of texts."""
    with scratch.temporary() as folder:
        for name in store.list():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            store.download(name, folder / name)
        classify = _signature(store, folder)

    def predict(texts: Sequence[bytes]) -> np.ndarray:
        return classify(text=tf.constant(list(texts), tf.string))["probabilities"].numpy()

    names = classify(text=tf.constant([_WARM_UP]))["labels"].numpy()[0]
    return ServedModel(_version(store), tuple(name.decode() for name in names), predict, None)


def _signature(store: Store, folder: Path) -> Any:
    """Returns the signature of the SavedModel in a folder, which may be deleted afterwards."""
    try:
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    except (OSError, ValueError, LookupError, tf.errors.OpError) as error:
        raise UserError(
            f"--workdir: the export in {store.url} can't be loaded ({str(error)[:200]!r}); "
            "write it again with --mode=export"
        ) from error
    if not {"labels", "probabilities"} <= signature.structured_outputs.keys():
        raise UserError(
            f"--workdir: the SavedModel in {store.url} is no classifier of texts; give a folder "
            "that --mode=export has written"
        )
    return signature


def _version(store: Store) -> int:
    """Returns the step that the model card of an export tells; 1 without a card."""
    if not store.exists(model_card.NAME):
        return 1
    found = _STEP.search(store.read(model_card.NAME).decode(errors="replace"))
    return int(found[1]) if found else 1
