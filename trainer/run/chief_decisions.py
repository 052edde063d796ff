"""What the chief decides for all workers of a job: the claim on the workdir, and the checkpoint.

    claim = claim_workdir(config, store, encoding, data_digest, workers)
    manifest = restore_on_all(workers, store, "last", read)

Both are collective calls: all workers must make the same ones in the same order.
"""

import contextlib
import json
from collections.abc import Callable

import ml_collections

from configs.schema import resume
from configs.schema.stored import CONFIG_FILE
from input_pipeline.encoding import Encoding, write_encoding
from storage import checksum, claims
from storage.claims import Claim
from storage.errors import UserError
from storage.store import Store, probe
from trainer.machines.workers import Workers
from trainer.run import checkpoints
from trainer.run.manifest import Damaged, Manifest


def claim_workdir(
    config: ml_collections.ConfigDict,
    store: Store,
    encoding: Encoding,
    data_digest: str,
    workers: Workers,
) -> Claim:
    """Claims the workdir for the job and writes config and encoding into it.

    Raises UserError on all workers when the command or the data of one differs from the chief's,
    and on a worker that does not see the chief's workdir.
    """
    identity = f"{resume.decisive_fields(config)} {encoding.digest} {data_digest}"
    digest = checksum.of(identity.encode())
    # All of them leave: the chief must not begin the run that only it was asked for.
    if workers.any(workers.from_chief([digest]) != [digest]):
        raise UserError(
            "--config: a worker's config, encoding or reviews differ from the chief's; give all "
            "workers the same command and the same data"
        )
    if not workers.is_chief:
        number, content = workers.from_chief([0, 0])
        claim = Claim(store, number)
        _check_seen(store, claim.name, content)
        return claim
    store.sweep()
    probe(store)
    claim = claims.take(store)
    text = json.dumps(config.to_dict(), indent=1) + "\n"
    store.write(CONFIG_FILE, text.encode(), claim.check)
    write_encoding(store, encoding, claim.check)
    workers.from_chief([claim.number, checksum.of(store.read(claim.name))])
    return claim


def restore_on_all(
    workers: Workers, store: Store, which: str, read: Callable[[str, Manifest], None]
) -> Manifest | None:
    """Restores as `checkpoints.restore` does; all workers read the one the chief has picked."""
    if workers.is_chief:
        manifest = checkpoints.restore(store, which, read)
        picked = [manifest.claim, manifest.step, manifest.digest] if manifest else [0, 0, 0]
        workers.from_chief(picked)
        return manifest
    claim, step, digest = workers.from_chief([0, 0, 0])
    if not claim:
        return None
    for manifest in checkpoints.ranked(store, str(step)):
        if (manifest.claim, manifest.digest) == (claim, digest):
            try:
                checkpoints.load(store, manifest, read)
            except Damaged as error:
                raise UserError(
                    f"--workdir: {store.url}: this worker can't read what the chief has read: "
                    f"{error}; run the same command again"
                ) from error
            return manifest
    raise UserError(
        f"--workdir: {store.url}: this worker does not see the checkpoint of step {step} that the "
        "chief has picked; run the same command again"
    )


def _check_seen(store: Store, name: str, content: int) -> None:
    """Raises UserError unless this worker sees an object that the chief wrote, by its checksum."""
    seen = None
    with contextlib.suppress(FileNotFoundError):
        seen = checksum.of(store.read(name))
    if seen != content:
        raise UserError(
            f"--workdir: {store.url}/{name}: this worker does not see what the chief has written; "
            "give a folder that all machines share, or gs://BUCKET/NAME"
        )
