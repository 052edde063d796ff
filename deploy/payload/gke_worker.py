"""Sets TF_CONFIG for one of several pods and becomes the command.

    python3 -c "$(cat deploy/payload/gke_worker.py)" COMMAND ARGUMENT ...

Kubernetes sets JOB_COMPLETION_INDEX, and the manifest sets LONGHAUL_HOSTS to HOST:PORT,HOST:PORT in
the order of the indices. Its text is sent to a machine that has Python but no code of longhaul.
"""

import json
import os
import sys


def main(*command: str) -> None:
    """Never returns: the command replaces this process and receives its signals."""
    hosts = os.environ["LONGHAUL_HOSTS"].split(",")
    task = {"type": "worker", "index": int(os.environ["JOB_COMPLETION_INDEX"])}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
    os.execvp(command[0], command)  # noqa: S606 - on purpose without a shell


if __name__ == "__main__":
    main(*sys.argv[1:])
