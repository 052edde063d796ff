"""The file in a job's workdir that keeps the exit code of the job's last start.

    code = read(open_store("gs://bucket/runs/imdb"), name_of("imdb-1f0c"))      # "75"

The scripts in deploy/payload write it: tpu_startup.sh, and vertex_worker.py on the chief.
"""

from storage.store import Store


def name_of(job_name: str) -> str:
    """Returns the name of a job's file in its workdir."""
    return f"logs/{job_name}.exit"


def read(store: Store, name: str) -> str:
    """Returns the exit code in a file; "" before it is written."""
    try:
        return store.read(name).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
