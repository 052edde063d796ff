"""Checkpoints that exist only when their manifest does.

    checkpoints = Checkpoints(store, claim, keep_last=2)
    checkpoints.save(write, Manifest(step=400, ...))
    manifest = restore(store, "last", lambda path, manifest: state.checkpoint().read(path))

A checkpoint's files are written whole to a scratch folder and moved to the store one by one; the
manifest, which names them with their sizes and crc32c, comes last. All carry the claim of their
process in their names, so that no process can write over, or delete, what a newer one has made.
Readers look at manifests only, and verify what they name.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from absl import logging

from storage import checksum, scratch
from storage.claims import Claim
from storage.errors import Corrupt, Superseded, UserError
from storage.store import Store

_NAME = re.compile(r"checkpoints/(?P<step>\d+)/claim-(?P<claim>\d+)\.(?P<part>.+)")
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
        return f"checkpoints/{self.step}/claim-{self.claim}"

    @property
    def name(self) -> str:
        """The manifest's own."""
        return f"{self.prefix}.{_MANIFEST}"

    @property
    def digest(self) -> int:
        """CRC-32C over all of it."""
        return _digest(dataclasses.asdict(self))


class Checkpoints:
    """Writes the checkpoints of a run on behalf of the process that holds `claim`."""

    def __init__(self, store: Store, claim: Claim, keep_last: int):
        self._store = store
        self._claim = claim
        self._keep_last = keep_last

    def save(self, write: Callable[[str], None], manifest: Manifest) -> None:
        """Saves the files that `write(prefix)` leaves in a local folder.

        Raises Superseded, having written nothing, when another process has taken over the run,
        and UserError when the store is full or fails; then there is no such checkpoint.
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
        # Nobody else writes under this claim: if there is one, an earlier try of this process for
        # this step has got through after all.
        with contextlib.suppress(FileExistsError):
            self._store.create(manifest.name, _encoded(manifest))
        self._withdraw_if_bereft(manifest)

    def retire(self) -> None:
        """Deletes what is no longer kept, and what killed processes left half written.

        Only what this process or an older one has written; manifests first, so that no checkpoint
        is ever seen in part.
        """
        names = self._store.list("checkpoints/")
        # One that did not arrive intact may be whole: then nothing is deleted.
        newest = _read_manifests(self._store, names, skip=(Damaged,))
        kept = {manifest.prefix for manifest in newest[: self._keep_last]}
        kept |= {manifest.prefix for manifest in _by_accuracy(newest)[:1]}
        matches = (match for match in map(_NAME.fullmatch, names) if match)
        gone = [
            match
            for match in matches
            if int(match["claim"]) <= self._claim.number
            and match.string.removesuffix(f".{match['part']}") not in kept
        ]
        for match in sorted(gone, key=lambda match: match["part"] != _MANIFEST):
            self._store.delete(match.string)

    def _upload(self, file: Path, description: dict[str, Any]) -> None:
        self._store.upload(file, description["name"], description["crc32c"])

    def _withdraw_if_bereft(self, manifest: Manifest) -> None:
        """Takes back a manifest that came so late that a newer process has cleared its files."""
        try:
            self._claim.check()
        except Superseded:
            if not all(self._store.exists(file["name"]) for file in manifest.files):
                self._store.delete(manifest.name)
            raise
        except UserError as error:
            logging.warning("Step %d is saved, but: %s", manifest.step, error)


def ranked(store: Store, which: str) -> list[Manifest]:
    """Manifests from the most wanted on; `which` is 'last', 'best' or a step in digits.

    'last' is the last step of the newest process that saved. 'best' is by validation accuracy, the
    newer of two equals, then the newest without one. Raises UserError when `which` is none of
    these.
    """
    if which not in ("last", "best") and not which.isdecimal():
        raise UserError(f"--checkpoint: got {which!r}, accepted are best, last or a step number")
    found = _read_manifests(store, store.list("checkpoints/"), skip=(Damaged, Corrupt))
    if which == "best":
        return _by_accuracy(found)
    return [manifest for manifest in found if which == "last" or manifest.step == int(which)]


def restore(store: Store, which: str, read: Callable[[str, Manifest], Any]) -> Manifest | None:
    """Hands the first wanted checkpoint that verifies to `read`, as a prefix of local files.

    Walks on from one that is damaged, with a warning. None when the store holds no checkpoint;
    UserError when it holds some and none verifies, or not the step asked for.
    """
    scratch.sweep()
    for manifest in ranked(store, which):
        try:
            load(store, manifest, read)
        except Damaged as error:
            logging.warning("%s: %s; looking for an earlier one", store.url, error)
            continue
        return manifest
    matches = map(_NAME.fullmatch, store.list("checkpoints/"))
    steps = sorted({int(m["step"]) for m in matches if m and m["part"] == _MANIFEST})
    known = ", ".join(map(str, steps)) or "none"
    if which.isdecimal() and int(which) not in steps:
        raise UserError(f"--checkpoint: no step {which} in {store.url}, only {known}")
    if steps:
        raise UserError(
            f"--workdir: {store.url}: no checkpoint of those asked for verifies (there are "
            f"{known}); bring back the files, ask for another one, or begin anew in another "
            "--workdir"
        )
    return None


def load(store: Store, manifest: Manifest, read: Callable[[str, Manifest], Any]) -> None:
    """Hands one checkpoint to `read`; Damaged, before that, when it does not verify."""
    with scratch.folder() as folder:
        _fetch(store, manifest, folder)
        read(str(folder / Path(manifest.prefix).name), manifest)


def _describe(file: Path, step: int) -> dict[str, Any]:
    name = f"checkpoints/{step}/{file.name}"
    return {"name": name, "size": file.stat().st_size, "crc32c": checksum.of_file(file)}


def _encoded(manifest: Manifest) -> bytes:
    """As JSON; the checksum is of the rest, since nothing else vouches for a manifest's bytes."""
    fields = dataclasses.asdict(manifest)
    return json.dumps({**fields, "crc32c": _digest(fields)}, indent=1).encode()


def _digest(fields: dict[str, Any]) -> int:
    return checksum.of(json.dumps(fields, sort_keys=True).encode())


def _read_manifests(
    store: Store, names: Iterable[str], skip: tuple[type[Exception], ...]
) -> list[Manifest]:
    """Those that can be read, newest first: by the claim of their process, then by step.

    A process with a newer claim has gone on from one of these, so what an older one still commits
    after that comes behind.
    """
    found = []
    for match in map(_NAME.fullmatch, names):
        if match and match["part"] == _MANIFEST:
            try:
                found.append(_decoded(store.read(match.string), match))
            except FileNotFoundError:
                continue  # deleted since it was listed
            except skip as error:
                logging.warning("%s: %s", store.url, error)
    return sorted(found, key=lambda manifest: (manifest.claim, manifest.step), reverse=True)


def _decoded(data: bytes, name: re.Match) -> Manifest:
    try:
        fields = json.loads(data)
        if fields.pop("crc32c") != _digest(fields):
            raise ValueError("another checksum")
        manifest = Manifest(**{**fields, "files": tuple(fields["files"])})
        if manifest.name != name.string or not manifest.files:
            raise ValueError("it is of another checkpoint, or names no files")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"the manifest of step {name['step']} can't be read ({error})") from error
    return manifest


def _by_accuracy(newest: list[Manifest]) -> list[Manifest]:
    """Best first, the newer of two equals; those without an accuracy last, as they came."""

    def rank(manifest: Manifest) -> tuple[bool, float]:
        accuracy = manifest.validation_accuracy
        return (accuracy is None, -(accuracy or 0.0))

    return sorted(newest, key=rank)


def _fetch(store: Store, manifest: Manifest, folder: Path) -> None:
    """Copies the files to `folder`; Damaged when they are not those of the manifest."""

    def fetch(file: dict[str, Any]) -> None:
        path = folder / Path(file["name"]).name
        try:
            store.download(file["name"], path)
        except (FileNotFoundError, Corrupt) as error:
            raise Damaged(f"the checkpoint of step {manifest.step} lacks {path.name}") from error
        size = path.stat().st_size
        if size != file["size"] or checksum.of_file(path) != file["crc32c"]:
            raise Damaged(
                f"the checkpoint of step {manifest.step} is damaged: {path.name} has {size} "
                f"bytes where its manifest has {file['size']}, or another checksum"
            )

    with ThreadPoolExecutor(len(manifest.files)) as threads:
        list(threads.map(fetch, manifest.files))
