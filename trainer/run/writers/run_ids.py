"""The id and the name that a service knows a run by.

run_id = read(store, "wandb")               # None at the first start
write(store, "wandb", "c0ffee", claim.check)
name(store.url)                             # "imdb" for gs://bucket/runs/imdb

The workdir keeps the id, so that any machine continues the run at the service.
"""

from storage.store import Check, Store

_FOLDER = "tracking"


def read(store: Store, service: str) -> str | None:
    """Returns the run's id at a service, or None when it has none yet."""
    try:
        return store.read(f"{_FOLDER}/{service}").decode().strip()
    except FileNotFoundError:
        return None


def write(store: Store, service: str, run_id: str, check: Check) -> None:
    """Keeps the run's id at a service; see `Store.write` for `check`."""
    store.write(f"{_FOLDER}/{service}", f"{run_id}\n".encode(), check)


def name(url: str) -> str:
    """Returns the last part of a workdir's URL."""
    return url.rstrip("/").rpartition("/")[2]
