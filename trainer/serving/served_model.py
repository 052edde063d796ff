"""The model that a server answers with: a checkpoint of a run, or an export.

    model = from_run(config, store, "best")
    model.predict([b"A film to remember."])     # <float32>[1, labels]

Both are traced and have predicted once, so that no request waits for that. On CPUs, where an
operation of an LSTM is best left to one core, many texts are predicted in parts side by side.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections
import numpy as np
import tensorflow as tf

from input_pipeline.streaming import in_threads
from storage import scratch
from storage.cores import usable_cores
from storage.errors import UserError
from storage.store import Store
from trainer.learning.explainer import Explainer, Explanation
from trainer.machines.strategy import device_count
from trainer.run import model_card
from trainer.run.trained_network import load_predictor
from trainer.serving.batcher import Predict

_STEP = re.compile(r"^- Checkpoint: step (\d+)$", re.MULTILINE)
_WARM_UP = "A film to remember."
_FEWEST = 8  # texts of a part


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
    return ServedModel(trained.manifest.step, labels, _in_parts(predict), explainer.explain)


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
    labels = tuple(name.decode() for name in names)
    return ServedModel(_version(store), labels, _in_parts(predict), None)


def _in_parts(predict: Predict) -> Predict:
    """Returns what predicts texts of similar length together, a part of them on each core."""
    cores = 1 if device_count("GPU") else usable_cores()

    def predict_in_parts(texts: Sequence[bytes]) -> np.ndarray:
        count = min(cores, len(texts) // _FEWEST)
        if count < 2:
            return predict(texts)
        order = np.argsort([len(text) for text in texts], kind="stable")
        parts = ([texts[number] for number in part] for part in np.array_split(order, count))
        rows = np.concatenate(list(in_threads(predict, parts)))
        return rows[np.argsort(order)]

    return predict_in_parts


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
