"""Tells a pod of several which one it is, as TF_CONFIG, and becomes the command.

    python3 -c "$(cat deploy/payload/gke_worker.py)" COMMAND ARGUMENT ...

Kubernetes sets JOB_COMPLETION_INDEX, and the manifest LONGHAUL_HOSTS: HOST:PORT,HOST:PORT by index.
Travels as text into a machine that has Python and nothing of longhaul.
"""

import json
import os
import sys


def main(*command: str) -> None:
    """Never returns: the command takes the process over, and gets its signals."""
    hosts = os.environ["LONGHAUL_HOSTS"].split(",")
    task = {"type": "worker", "index": int(os.environ["JOB_COMPLETION_INDEX"])}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
    os.execvp(command[0], command)  # noqa: S606 - that there is no shell is the point


if __name__ == "__main__":
    main(*sys.argv[1:])
