"""A TPU VM for tests: a folder with stand-ins for what the start-up script calls."""

import os
import subprocess
import sys

from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.startup_script import startup_script
from tests.deploy.examples import make_job

GCLOUD = r"""#!/bin/bash
# Copies to and from $REMOTE, and records all calls. Fails once for each line of $FAILURES.
echo "$*" >>"$CALLS"
if [[ -s ${FAILURES:-} ]]; then
  sed -i 1d "$FAILURES"
  exit 1
fi
if [[ $1 == storage && $2 == rm ]]; then
  rm "${4/#gs:\/\//$REMOTE/}"
elif [[ $1 == storage ]]; then
  from=${*: -2:1} to=${*: -1}
  from=${from/#gs:\/\//$REMOTE/} to=${to/#gs:\/\//$REMOTE/}
  [[ " $* " == *" --no-clobber "* && -e $to ]] && exit
  [[ $to == */* ]] && mkdir -p "${to%/*}"
  cp "$from" "$to"
fi
"""
# The metadata server's responses are files.
CURL = r"""#!/bin/bash
url=${*: -1}
exec cat "$METADATA_FOLDER/${url##*/}"
"""
# In place of Python, where no training is needed: exits with the codes that $CODES lists.
STAND_IN = r"""#!/bin/bash
if [[ $1 == -m ]]; then
  echo "server $2 ${TPU_LOAD_LIBRARY:-}" >>"$ORDER"
  exec "$PYTHON" -c "$SERVE" "$ADDRESS" "$LONGHAUL_PORT"
fi
echo "job ${TPU_LOAD_LIBRARY:-}" >>"$ORDER"
printf '%s\0' "$@" >>"$STARTS"
echo "the job was here"
code=$(sed -n 1p "$CODES")
sed -i 1d "$CODES"
[[ $code == KILL ]] && kill -KILL $$
[[ $code == HANG ]] && { echo ready >"$READY"; read -r <"$READY"; }
exit "$code"
"""
SERVE = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    while True:
        server.accept()[0].close()
"""


class Machine:
    """A machine that boots with the start-up script. Machines of a slice share `remote`."""

    def __init__(self, folder, remote, options=None):
        self.folder = folder
        self.options = {"zone": "us-west4-a", **(options or {})}
        self.remote = remote
        self.order = folder / "order"
        self.calls = folder / "calls"
        self.codes = folder / "codes"
        self.starts = folder / "starts"
        self.failures = folder / "failures"
        self.ready = folder / "ready"
        os.mkfifo(self.ready)
        self.add_program("gcloud", GCLOUD)
        self.add_program("curl", CURL)
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "LONGHAUL_HOME": str(folder / "home"),
            "LONGHAUL_PAUSE": "0",
            "LONGHAUL_PYTHON": str(self.add_program("stand-in", STAND_IN)),
            "REMOTE": str(self.remote),
            "CALLS": str(self.calls),
            "CODES": str(self.codes),
            "STARTS": str(self.starts),
            "FAILURES": str(self.failures),
            "READY": str(self.ready),
            "ORDER": str(self.order),
            "PYTHON": sys.executable,
            "SERVE": SERVE,
            "METADATA_FOLDER": str(folder / "metadata"),
        }

    def add_program(self, name, text):
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def boot(self, job):
        """Starts the script in its own process group and returns the process."""
        script = self.folder / "startup.sh"
        script.write_text(startup_script(job, Options(**self.options)))
        return subprocess.Popen(["bash", script], env=self.environment, start_new_session=True)

    def join_slice(self, number, endpoints, port):
        """Sets what the metadata server says, and where this machine's server listens."""
        metadata = self.folder / "metadata"
        metadata.mkdir()
        (metadata / "agent-worker-number").write_text(str(number))
        (metadata / "worker-network-endpoints").write_text(endpoints)
        self.environment["LONGHAUL_PORT"] = str(port)
        self.environment["ADDRESS"] = endpoints.split(",")[number].split(":")[-1]

    def uploaded(self, job, end):
        path = self.remote / job.workdir.removeprefix("gs://") / "logs" / f"imdb.{end}"
        return path.read_text()

    def deletions(self):
        lines = self.calls.read_text().splitlines()
        return [line for line in lines if "queued-resources delete" in line]


def make_tpu_job(workdir="gs://bucket/runs/imdb", arguments=(), **changes):
    arguments = ("--config=configs/sample.py", *arguments, f"--workdir={workdir}")
    return make_job(arguments=arguments, workdir=workdir, **changes)


def run(machine, job, codes):
    """Boots a machine whose job exits with these codes, one each start; returns the exit code."""
    machine.codes.write_text("".join(f"{code}\n" for code in codes))
    return machine.boot(job).wait(timeout=60)
