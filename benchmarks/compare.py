"""Compares two finished runs, and checks what a run leaves behind.

differences(open_store("runs/alone"), open_store("runs/killed"))     # one line for each
leftovers(open_store("runs/killed"), scratch=[])
"""

import collections
import dataclasses
from pathlib import Path

import tensorflow as tf

from benchmarks.common import metric_lines
from configs.schema.stored import predicts_labels, stored_config
from storage.errors import UserError
from storage.store import Store
from trainer.run.checkpoints import ranked, restore
from trainer.run.manifest import Manifest

_PROJECTOR = ("projector_config.pbtxt", "vocabulary.tsv", "vocabulary_metadata.tsv")
_TIMES = ("reviews_per_second", "tokens_per_second", "goodput", "time", "start", "seconds")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def last_checkpoint(store: Store) -> tuple[Manifest, dict[str, bytes]]:
    """Returns the last checkpoint's manifest, and the bytes of each of its variables by name."""
    values = {}

    def read(path: str, _: Manifest) -> None:
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_shape_map().keys() - {_OBJECT_GRAPH}
        values.update({name: reader.get_tensor(name).tobytes() for name in names})

    manifest = restore(store, "last", read)
    if manifest is None:
        raise UserError(f"{store.url}: holds no checkpoint; give the workdir of a finished run")
    # The start that wrote it, and how TensorFlow laid out the files, may differ.
    return dataclasses.replace(manifest, claim=0, files=()), values


def lines_by_key(store: Store) -> tuple[dict[tuple[str, int], dict], list[tuple[str, int]]]:
    """Returns the lines of metrics.jsonl by (kind, step), and the keys of more than one line.

    The fields that depend on the time are left out.
    """
    lines = metric_lines(store.read("metrics.jsonl"))
    counts = collections.Counter((line["kind"], line["step"]) for line in lines)
    values = {
        (line["kind"], line["step"]): {k: v for k, v in line.items() if k not in _TIMES}
        for line in lines
    }
    return values, sorted(key for key, count in counts.items() if count > 1)


def differences(alone: Store, killed: Store) -> list[str]:
    """Returns what differs between two finished runs, a line for each; prints what it compared."""
    (manifest, expected), (killed_manifest, got) = last_checkpoint(alone), last_checkpoint(killed)
    found = []
    if manifest != killed_manifest:
        found.append(f"last checkpoint: {manifest} alone, {killed_manifest} killed")
    for name in sorted(expected.keys() | got.keys()):
        if expected.get(name) != got.get(name):
            found.append(f"variable {name}: other bits, or in one of the two only")
    expected_lines, _ = lines_by_key(alone)
    got_lines, repeated = lines_by_key(killed)
    found += [f"line {key}: more than once" for key in repeated]
    for key in sorted(expected_lines.keys() | got_lines.keys()):
        if expected_lines.get(key) != got_lines.get(key):
            found.append(f"line {key}: {expected_lines.get(key)} alone, {got_lines.get(key)}")
    print(f"compared {len(expected)} variables of step {manifest.step}, {len(got_lines)} lines")
    return found


def verifies(store: Store, manifest: Manifest) -> bool:
    """Returns True when this very checkpoint can be restored, not an earlier one in its place."""
    try:
        return restore(store, str(manifest.step), lambda *_: None) == manifest
    except UserError:
        return False


def leftovers(store: Store, scratch: list[Path]) -> list[str]:
    """Returns what a finished run should not leave or fails to leave, one line for each.

    That includes checkpoints that do not verify. Prints what it checked.
    """
    names = store.list()
    claims = sorted(int(name.removeprefix("claims/")) for name in names if name[:7] == "claims/")
    manifests = ranked(store, "last")
    wanted = {"config.json", "vocabulary.txt", "labels.txt", "metrics.jsonl"}
    wanted.add("report.html")
    if predicts_labels(stored_config(store)):
        wanted.add("test_results.npz")
    kinds = ("train", "validation", "epoch", "test")
    wanted |= {f"tensorboard/{kind}/events.out.tfevents.{claims[-1]:06}" for kind in kinds}
    wanted |= {f"tensorboard/test/{name}" for name in _PROJECTOR}
    wanted |= {f"claims/{number}" for number in claims}
    for manifest in manifests:
        wanted |= {manifest.name, *(file["name"] for file in manifest.files)}
    found = [f"in the workdir, and should not be: {name}" for name in names if name not in wanted]
    found += [f"not in the workdir: {name}" for name in sorted(wanted.difference(names))]
    if len(manifests) > 3:  # the two newest, and the best
        found.append(f"{len(manifests)} checkpoints where at most 3 are kept")
    broken = [manifest.name for manifest in manifests if not verifies(store, manifest)]
    found += [f"does not verify: {name}" for name in broken]
    left = [path for folder in scratch for path in folder.glob("*")]
    found += [f"in the scratch folder: {path}" for path in left]
    print(f"verified {len(manifests)} checkpoints; {len(names)} objects, {len(claims)} claims")
    return found
