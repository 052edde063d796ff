"""Mode `export`: writes a run's network as a SavedModel that needs TensorFlow alone.

export(scoring_config(store, None), store, "best", open_store("gs://bucket/models/imdb"))

The folder has the SavedModel and a model card, model_card.md. `saved_model.pb` is written last, so
a reader that waits for it finds a complete export.
"""

from pathlib import Path

import ml_collections

from storage import checksum
from storage.errors import UserError
from storage.store import Store, open_store
from trainer.learning import exported
from trainer.modes.interface import EXPORTED_GRAPH, Call
from trainer.run import model_card, terminal
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config

FOLDER = "export"  # in the workdir


def run(call: Call) -> None:
    """Runs the mode; without --to the export is in the workdir."""
    config, workdir = scoring_config(call.store, call.config), call.store
    url = call.to or f"{workdir.url.rstrip('/')}/{FOLDER}"
    export(config, workdir, call.checkpoint, open_store(url, "--to"))


def export(
    config: ml_collections.ConfigDict, store: Store, checkpoint: str, destination: Store
) -> None:
    """Writes the SavedModel of a checkpoint, in place of an earlier export there.

    Raises UserError when the destination holds something else.
    """
    names = destination.list()
    if names and model_card.NAME not in names:
        raise UserError(
            f"--to: {destination.url} holds {names[0]!a} and no export; give an empty folder"
        )
    # Whatever this machine has: cuDNN's operation, which `auto` may stand for, runs on GPUs only.
    anywhere = config.copy_and_resolve_references()
    anywhere.model.kernel = "cpu"
    predictor, trained = load_predictor(anywhere, store, checkpoint, "export")
    card = model_card.text(config, trained.encoding, trained.manifest)
    destination.sweep()
    with destination.scratch() as folder:
        exported.save(predictor, trained.encoding.labels.names, str(folder))
        destination.delete(EXPORTED_GRAPH)  # no reader may take the old graph with new variables
        destination.write(model_card.NAME, card.encode())
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == EXPORTED_GRAPH):
            _move(path, path.relative_to(folder), destination)
    terminal.result(f"Exported step {trained.manifest.step} to {destination.url}")


def _move(path: Path, name: Path, destination: Store) -> None:
    destination.upload(path, name.as_posix(), checksum.of_file(path))
