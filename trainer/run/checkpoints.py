"""Checkpoints that exist only when their manifest does.

    checkpoints = Checkpoints(store, claim, keep_last=2)
    checkpoints.save(write, Manifest(step=400, ...))
    manifest = restore(store, "last", lambda path, manifest: state.read(path))

A checkpoint's files are written whole to a scratch folder and moved to the store one by one. The
manifest, which names them with their sizes and crc32c, comes last. All names hold the claim of the
process that wrote them, so that no process can overwrite or delete what a newer one has made.
Readers look at manifests only, and verify the files that they name.
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from absl import logging

from storage import checksum, scratch
from storage.claims import Claim
from storage.errors import Corrupt, Superseded, UserError
from storage.store import Store
from trainer.run.manifest import MANIFEST, NAME, Damaged, Manifest, decode, encode

_FOLDER = re.compile(r"checkpoints/\d+")
_LISTINGS = 100  # while a training that goes on deletes what was listed


class _Retired(Exception):
    """A checkpoint was deleted after it was listed."""


class Checkpoints:
    """Writes the checkpoints of a run on behalf of the process that holds `claim`."""

    def __init__(self, store: Store, claim: Claim, keep_last: int):
        self._store = store
        self._claim = claim
        self._keep_last = keep_last

    def save(self, write: Callable[[str], None], manifest: Manifest) -> None:
        """Saves the files that `write(prefix)` leaves in a local folder.

        Raises Superseded, having written nothing, when another process has taken over the run, and
        UserError when the store is full or fails. In both cases there is no such checkpoint.
        """
        manifest = dataclasses.replace(manifest, claim=self._claim.number)
        with self._store.scratch() as folder:
            write(str(folder / Path(manifest.prefix).name))
            self._claim.check()
            files = sorted(folder.iterdir())
            described = tuple(_describe(file, manifest.step) for file in files)
            with ThreadPoolExecutor(len(files)) as threads:
                list(threads.map(self._upload, files, described))
        manifest = dataclasses.replace(manifest, files=described)
        self._claim.check()
        # No other process writes under this claim. If the manifest exists, an earlier attempt of
        # this process to save this step has succeeded after all.
        with contextlib.suppress(FileExistsError):
            self._store.create(manifest.name, encode(manifest))
        self._withdraw_if_late(manifest)

    def retire(self) -> None:
        """Deletes checkpoints that are no longer kept, and what killed processes left half written.

        Deletes only what this start or an earlier one wrote, manifests first, so that readers never
        see a partial checkpoint.
        """
        # Corrupt is not skipped: bytes that did not arrive intact may be whole in the store, and
        # then nothing must be deleted.
        names, manifests = _read_manifests(self._store, skip=(Damaged,))
        kept = {manifest.prefix for manifest in manifests[: self._keep_last]}
        kept |= {manifest.prefix for manifest in _by_score(manifests)[:1]}
        matches = (match for match in map(NAME.fullmatch, names) if match)
        obsolete = [
            match
            for match in matches
            if int(match["claim"]) <= self._claim.number
            and match.string.removesuffix(f".{match['part']}") not in kept
        ]
        for match in sorted(obsolete, key=lambda match: match["part"] != MANIFEST):
            self._store.delete(match.string)

    def _upload(self, file: Path, description: dict[str, Any]) -> None:
        self._store.upload(file, description["name"], description["crc32c"])

    def _withdraw_if_late(self, manifest: Manifest) -> None:
        """Deletes a manifest that came so late that a newer process may delete its files."""
        try:
            self._claim.check()
        except Superseded:
            self._store.delete(manifest.name)
            raise
        except UserError as error:
            logging.warning("Step %d is saved, but: %s", manifest.step, error)


def ranked(store: Store, which: str) -> list[Manifest]:
    """Returns manifests in the order of preference; `which` is 'last', 'best' or a step in digits.

    'last' prefers the last step of the newest process that saved. 'best' prefers the highest score,
    of equal ones the newer, and checkpoints without a score last. Raises UserError when `which` is
    none of these.
    """
    return _ranked(_read_manifests(store, skip=(Damaged, Corrupt))[1], which)


def _ranked(found: list[Manifest], which: str) -> list[Manifest]:
    if which not in ("last", "best") and not which.isdecimal():
        raise UserError(f"--checkpoint: got {which!r}, accepted are best, last or a step number")
    if which == "best":
        return _by_score(found)
    return [manifest for manifest in found if which == "last" or manifest.step == int(which)]


def restore(store: Store, which: str, read: Callable[[str, Manifest], Any]) -> Manifest | None:
    """Hands the most preferred checkpoint that verifies to `read`, as a prefix of local files.

    A damaged checkpoint is skipped with a warning. Returns None when the store holds no checkpoint;
    raises UserError when it holds some and none verifies, or not the step asked for.
    """
    scratch.sweep_temporary()
    for _ in range(_LISTINGS):
        names, found = _read_manifests(store, skip=(Damaged, Corrupt))
        with contextlib.suppress(_Retired):
            for manifest in _ranked(found, which):
                if _verifies(store, manifest, read):
                    return manifest
            _require_none(store, which, names)
            return None
    raise _busy(store)


def _verifies(store: Store, manifest: Manifest, read: Callable[[str, Manifest], Any]) -> bool:
    """Loads a checkpoint. Returns False, with a warning, when it is damaged.

    Raises _Retired when a training that goes on has deleted it.
    """
    try:
        load(store, manifest, read)
    except Damaged as error:
        if not store.exists(manifest.name):  # a manifest is deleted before its files
            raise _Retired from error
        logging.warning("%s: %s; looking for an earlier one", store.url, error)
        return False
    return True


def _require_none(store: Store, which: str, names: list[str]) -> None:
    """Raises UserError when there are checkpoints in a listing, none of which verifies."""
    matches = map(NAME.fullmatch, names)
    steps = sorted({int(m["step"]) for m in matches if m and m["part"] == MANIFEST})
    known = ", ".join(map(str, steps)) or "none"
    if which.isdecimal() and int(which) not in steps:
        raise UserError(f"--checkpoint: no step {which} in {store.url}, only {known}")
    if steps:
        raise UserError(
            f"--workdir: {store.url}: none of the checkpoints asked for verifies (there are "
            f"{known}; the warnings say why); bring back the files, or ask for another one"
        )


def load(store: Store, manifest: Manifest, read: Callable[[str, Manifest], Any]) -> None:
    """Hands one checkpoint to `read`; raises Damaged, before that, when it does not verify."""
    with scratch.temporary() as folder:
        _fetch(store, manifest, folder)
        read(str(folder / Path(manifest.prefix).name), manifest)


def _describe(file: Path, step: int) -> dict[str, Any]:
    name = f"checkpoints/{step}/{file.name}"
    return {"name": name, "size": file.stat().st_size, "crc32c": checksum.of_file(file)}


def _read_manifests(
    store: Store, skip: tuple[type[Exception], ...]
) -> tuple[list[str], list[Manifest]]:
    """Returns the names of all objects of checkpoints, and the manifests that can be read.

    The manifests come by descending (claim, step): the process with the newest claim has resumed
    from one of these, so what an older process commits after that ranks behind. When a training
    that goes on deletes one after it was listed, all are listed again.
    """
    for _ in range(_LISTINGS):
        names, found = store.list("checkpoints/"), []
        _require_folders(store, names)
        with contextlib.suppress(FileNotFoundError):
            for match in map(NAME.fullmatch, names):
                if match and match["part"] == MANIFEST:
                    try:
                        found.append(decode(store.read(match.string), match))
                    except skip as error:
                        logging.warning("%s: %s", store.url, error)
            return names, sorted(found, key=lambda m: (m.claim, m.step), reverse=True)
    raise _busy(store)


def _require_folders(store: Store, names: list[str]) -> None:
    """Raises UserError when a file or a dead link stands for a checkpoint's folder."""
    for name in names:
        if _FOLDER.fullmatch(name):
            raise UserError(
                f"--workdir: {store.url}/{name}: a file, or a link to a folder that is not there; "
                "bring back the folder, or delete it to go on without that checkpoint"
            )


def _busy(store: Store) -> UserError:
    return UserError(
        f"--workdir: {store.url}: checkpoints were deleted {_LISTINGS} times in a row before they "
        "were read; run the same command again when the training that does it has ended, or give "
        "it a greater config.checkpoint.keep_last"
    )


def _by_score(newest_first: list[Manifest]) -> list[Manifest]:
    """Returns the best first, of equal ones the newer, and last those without a score."""

    def rank(manifest: Manifest) -> tuple[bool, float]:
        return (manifest.score is None, -(manifest.score or 0.0))

    return sorted(newest_first, key=rank)


def _fetch(store: Store, manifest: Manifest, folder: Path) -> None:
    """Copies the files to `folder`; raises Damaged when they are not those of the manifest."""

    def fetch(file: dict[str, Any]) -> None:
        path = folder / Path(file["name"]).name
        try:
            store.download(file["name"], path)
        except FileNotFoundError as error:
            raise Damaged(f"the checkpoint of step {manifest.step} lacks {path.name}") from error
        except Corrupt as error:
            raise Damaged(f"the checkpoint of step {manifest.step}: {error}") from error
        for quantity, found in (
            ("size", path.stat().st_size),
            ("crc32c", checksum.of_file(path)),
        ):
            if found != file[quantity]:
                raise Damaged(
                    f"the checkpoint of step {manifest.step} is damaged: {path.name} has the "
                    f"{quantity} {found}, its manifest says {file[quantity]}"
                )

    with ThreadPoolExecutor(len(manifest.files)) as threads:
        list(threads.map(fetch, manifest.files))
