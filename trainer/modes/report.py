"""Mode `report`: writes a page about a run, or one that compares several, without TensorFlow.

write_report(store, store)                              # report.html in the workdir
write_comparison([store, other], store)                 # comparison.html
"""

from collections.abc import Sequence

from configs.schema.stored import CONFIG_FILE
from storage.errors import UserError
from storage.store import Check, Store, open_store
from trainer.modes.interface import Call
from trainer.pages import comparison, report
from trainer.run import terminal
from trainer.run.record import read_record


def run(call: Call) -> None:
    """Runs the mode; without --to the page is in the workdir."""
    destination = open_store(call.to, "--to") if call.to else call.store
    if call.compare:
        url = write_comparison([call.store, *map(_open_other, call.compare)], destination)
    else:
        url = write_report(call.store, destination)
    terminal.result(f"Report: {url}")


def write_report(store: Store, destination: Store, check: Check | None = None) -> str:
    """Writes the report of the run in a workdir, and returns its URL.

    See `Store.write` for `check`. Raises UserError when a file of the run is damaged, or when a
    store fails.
    """
    page = report.page(read_record(store))
    return _write(destination, report.FILE, page, check)


def write_comparison(stores: Sequence[Store], destination: Store) -> str:
    """Writes a page that compares the runs in several workdirs with the first; returns its URL.

    Raises UserError when one is given twice, when a file of a run is damaged, or when a store
    fails.
    """
    page = comparison.page([read_record(store) for store in stores])
    return _write(destination, comparison.FILE, page)


def _open_other(url: str) -> Store:
    store = open_store(url, "--compare")
    if not store.exists(CONFIG_FILE):
        raise UserError(
            f"--compare: {url} holds no run ({CONFIG_FILE} is missing); give workdirs of runs, "
            "with commas between"
        )
    return store


def _write(destination: Store, name: str, page: str, check: Check | None = None) -> str:
    destination.write(name, page.encode(), check)
    return f"{destination.url.rstrip('/')}/{name}"
