"""Checkpoints that exist only when their manifest does.

    checkpoints = Checkpoints(store, claim, keep_last=2)
    checkpoints.save(state.checkpoint(), Manifest(step=400, ...))
    manifest = restore(store, "last", lambda path, manifest: state.checkpoint().read(path))

A checkpoint's data files are written whole to a scratch folder and moved to the store one by one;
the manifest, which names them with their sizes and crc32c, comes last. Readers look at manifests
only, and verify what they name.
"""

import dataclasses
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import tensorflow as tf
from absl import logging

from storage import claims
from storage.errors import UserError
from storage.store import Store

_FOLDER = "checkpoints"
_MANIFEST = "manifest.json"


class Damaged(Exception):
    """A checkpoint that does not verify; says what is wrong with it."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is known of a checkpoint without reading its data."""

    step: int
    config: str  # the decisive fields, as `validate.decisive` gives them
    vocabulary: str  # digest
    data: str  # digest of the training reviews
    validation_accuracy: float | None  # None for a checkpoint within an epoch
    sums: dict[str, Any]  # metrics gathered so far in the epoch
    claim: int = 0  # of the process that wrote it
    files: tuple[dict[str, Any], ...] = ()  # name, size, crc32c

    @property
    def prefix(self) -> str:
        """The name that TensorFlow gives the files, without their endings."""
        return f"{_FOLDER}/{self.step}/claim-{self.claim}"


class Checkpoints:
    """Writes the checkpoints of a run on behalf of the process that holds `claim`."""

    def __init__(self, store: Store, claim: int, keep_last: int):
        self._store = store
        self._claim = claim
        self._keep_last = keep_last

    def save(self, checkpoint: tf.train.Checkpoint, manifest: Manifest) -> None:
        """Saves, then deletes what is no longer kept.

        Raises Superseded, having written nothing, when another process has taken over the run,
        and UserError when the store is full or fails.
        """
        manifest = dataclasses.replace(manifest, claim=self._claim)
        with self._store.scratch() as scratch:
            path = scratch / Path(manifest.prefix).name
            _write(checkpoint, path)
            claims.check(self._store, self._claim)
            files = sorted(scratch.iterdir())
            described = tuple(_describe(file, manifest.step) for file in files)
            manifest = dataclasses.replace(manifest, files=described)
            _delete(self._store, manifest.step)  # an earlier start's, which did not verify
            for file, description in zip(files, described, strict=True):
                self._store.upload(file, description["name"])
        text = json.dumps(dataclasses.asdict(manifest), indent=1)
        try:
            self._store.create(_manifest_name(manifest.step), text.encode())
        except FileExistsError:
            claims.check(self._store, self._claim)  # only a newer start can have been here
            raise
        self._retire()

    def discard_after(self, step: int) -> None:
        """Deletes what lies behind the step that was restored, since it did not verify."""
        for later in _steps(self._store):
            if later > step:
                _delete(self._store, later)

    def _retire(self) -> None:
        kept = {manifest.step for manifest in ranked(self._store, "last")[: self._keep_last]}
        kept |= {manifest.step for manifest in ranked(self._store, "best")[:1]}
        for step in _steps(self._store) - kept:
            _delete(self._store, step)


def ranked(store: Store, which: str) -> list[Manifest]:
    """Manifests from the most wanted on; `which` is 'last', 'best' or a step in digits.

    'best' is by validation accuracy, the newer of two equals, then the newest without one.
    Raises UserError when `which` is none of these.
    """
    if which not in ("last", "best") and not which.isdecimal():
        raise UserError(f"--checkpoint: got {which!r}, accepted are best, last or a step number")
    found = []
    for step in sorted(_steps(store), reverse=True):
        try:
            found.append(_read_manifest(store, step))
        except FileNotFoundError:
            continue  # files of a save that was cut short
        except Damaged as error:
            logging.warning("%s: %s", store.url, error)
    if which == "best":

        def rank(manifest: Manifest) -> tuple:
            accuracy = manifest.validation_accuracy
            return (1, 0.0, -manifest.step) if accuracy is None else (0, -accuracy, -manifest.step)

        found.sort(key=rank)
    elif which != "last":
        found = [manifest for manifest in found if manifest.step == int(which)]
    return found


def restore(store: Store, which: str, read: Callable[[str, Manifest], Any]) -> Manifest | None:
    """Hands the first wanted checkpoint that verifies to `read`, as TensorFlow's path prefix.

    Walks on from one that is damaged, with a warning. None when the store holds no checkpoint;
    UserError when it holds some and none verifies, or not the step asked for.
    """
    wanted = ranked(store, which)
    for manifest in wanted:
        with tempfile.TemporaryDirectory(prefix="longhaul-") as folder:
            try:
                _fetch(store, manifest, Path(folder))
            except Damaged as error:
                logging.warning("%s: %s; going back to the one before", store.url, error)
                continue
            read(str(Path(folder, Path(manifest.prefix).name)), manifest)
        return manifest
    steps = [step for step in sorted(_steps(store)) if store.exists(_manifest_name(step))]
    known = ", ".join(map(str, steps)) or "none"
    if which not in ("last", "best") and not wanted:
        raise UserError(f"--checkpoint: no step {which} in {store.url}, only {known}")
    if steps:
        raise UserError(
            f"workdir: {store.url}: no checkpoint of those asked for verifies (there are {known}); "
            "bring back the files, choose another --checkpoint, or begin anew in another --workdir"
        )
    return None


def _manifest_name(step: int) -> str:
    return f"{_FOLDER}/{step}/{_MANIFEST}"


def _steps(store: Store) -> set[int]:
    parts = (name.split("/") for name in store.list(f"{_FOLDER}/"))
    return {int(part[1]) for part in parts if len(part) == 3 and part[1].isdecimal()}


def _write(checkpoint: tf.train.Checkpoint, path: Path) -> None:
    try:
        checkpoint.write(str(path))
    except (tf.errors.ResourceExhaustedError, tf.errors.OutOfRangeError) as error:
        raise UserError(
            f"workdir: {path.parent}: no room for a checkpoint ({error.message}); the last one is "
            "intact: free some space and run the same command again"
        ) from error


def _describe(file: Path, step: int) -> dict[str, Any]:
    data = file.read_bytes()
    name = f"{_FOLDER}/{step}/{file.name}"
    return {"name": name, "size": len(data), "crc32c": google_crc32c.value(data)}


def _read_manifest(store: Store, step: int) -> Manifest:
    try:
        fields = json.loads(store.read(_manifest_name(step)))
        manifest = Manifest(**{**fields, "files": tuple(fields["files"])})
        if manifest.step != step or not manifest.files:
            raise ValueError("it is of another step, or names no files")
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"the manifest of step {step} can't be read ({error})") from error
    return manifest


def _fetch(store: Store, manifest: Manifest, folder: Path) -> None:
    """Copies the files to `folder`; Damaged when they are not those of the manifest."""
    for file in manifest.files:
        path = folder / Path(file["name"]).name
        try:
            store.download(file["name"], path)
        except FileNotFoundError as error:
            raise Damaged(f"the checkpoint of step {manifest.step} lacks {path.name}") from error
        data = path.read_bytes()
        if len(data) != file["size"] or google_crc32c.value(data) != file["crc32c"]:
            raise Damaged(
                f"the checkpoint of step {manifest.step} is damaged: {path.name} has {len(data)} "
                f"bytes where its manifest has {file['size']}, or another checksum"
            )


def _delete(store: Store, step: int) -> None:
    """Deletes a checkpoint, its manifest first, so that none is ever seen in part."""
    store.delete(_manifest_name(step))
    for name in store.list(f"{_FOLDER}/{step}/"):
        store.delete(name)
