"""A TPU VM for tests: the services that it calls, and stand-ins for the programs that it has."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.startup_script import startup_script
from tests.deploy.examples import make_job
from tests.fakes.gcs_server import GcsServer

TOKEN = "secret-token"  # noqa: S105
RESOURCE = "/v2/projects/some-project/locations/us-west4-a/queuedResources/imdb?force=true"
# As on an image without gcloud. The machine of a test may have one, which must not be called.
NO_GCLOUD = "#!/bin/bash\necho 'gcloud: command not found' >&2\nexit 127\n"
GCLOUD = '#!/bin/bash\necho "$*" >>"$CALLS"\n'
# In place of Python, where no training is needed: exits with the codes that $CODES lists.
STAND_IN = r"""#!/bin/bash
if [[ $1 == -c ]]; then # where libtpu is
  echo "$LIBRARY"
  exit
fi
seen="${NEXT_PLUGGABLE_DEVICE_USE_C_API-} ${TF_PLUGGABLE_DEVICE_LIBRARY_PATH-} ${TPU_LOAD_LIBRARY-}"
if [[ $1 == -m ]]; then
  echo "server $2 $seen" >>"$ORDER"
  exec "$PYTHON" -c "$SERVE" "$ADDRESS" "$LONGHAUL_PORT"
fi
echo "job $seen" >>"$ORDER"
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


class Google:
    """The services on this machine: a bucket, the metadata of each machine, and Cloud TPU.

    `metadata` maps a path to its text. `refusals` is the number of deletions that are refused;
    `on_deletion` is called for one that is not.
    """

    def __init__(self, bucket):
        self.bucket = bucket
        self.metadata = {"service-accounts/default/token": json.dumps({"access_token": TOKEN})}
        self.deletions = []
        self.booted = []  # the processes of the machines that were started
        self.refusals = 0
        self.on_deletion = lambda: None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.google = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        for process in self.booted:  # with what it has left in the background
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        machine, _, path = self.path.partition("/computeMetadata/v1/instance/")
        metadata = self.server.google.metadata
        text = metadata.get(f"{machine}/{path}", metadata.get(path))
        if text is None or self.headers["Metadata-Flavor"] != "Google":
            return self._answer(404)
        return self._answer(200, text)

    def do_DELETE(self):
        google = self.server.google
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._answer(401)
        if google.refusals:
            google.refusals -= 1
            return self._answer(403)
        google.on_deletion()
        google.deletions.append(self.path)
        return self._answer(200, "{}")

    def _answer(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@contextlib.contextmanager
def services():
    """Starts the services, with an empty bucket `bucket`."""
    with GcsServer() as bucket, contextlib.closing(Google(bucket)) as google:
        yield google


class Machine:
    """A machine that boots with the start-up script."""

    def __init__(self, folder, google, options=None):
        self.folder = folder
        self.google = google
        self.options = {"zone": "us-west4-a", **(options or {})}
        self.order = folder / "order"
        self.calls = folder / "calls"
        self.codes = folder / "codes"
        self.starts = folder / "starts"
        self.ready = folder / "ready"
        self.console = folder / "console"
        self.console.touch()
        os.mkfifo(self.ready)
        self.add_program("gcloud", NO_GCLOUD)
        self.environment = {
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "no_proxy": "127.0.0.1",
            "LONGHAUL_HOME": str(folder / "home"),
            "LONGHAUL_PAUSE": "0",
            "LONGHAUL_PYTHON": str(self.add_program("stand-in", STAND_IN)),
            "LONGHAUL_CONSOLE": str(self.console),
            "LONGHAUL_METADATA": f"{google.url}/{folder.name}",
            "LONGHAUL_STORAGE": google.bucket.url,
            "LONGHAUL_TPU": google.url,
            "LIBRARY": "/packages/libtpu/libtpu.so",
            "CALLS": str(self.calls),
            "CODES": str(self.codes),
            "STARTS": str(self.starts),
            "READY": str(self.ready),
            "ORDER": str(self.order),
            "PYTHON": sys.executable,
            "SERVE": SERVE,
        }

    def add_program(self, name, text):
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def boot(self, job):
        """Starts the script and returns the process, which ends with the services at the latest."""
        script = self.folder / "startup.sh"
        script.write_text(startup_script(job, Options(**self.options)))
        process = subprocess.Popen(["bash", script], env=self.environment, start_new_session=True)
        self.google.booted.append(process)
        return process

    def join_slice(self, number, endpoints, port):
        """Sets what the metadata server says, and where this machine's server listens."""
        attributes = {"agent-worker-number": str(number), "worker-network-endpoints": endpoints}
        for name, text in attributes.items():
            self.google.metadata[f"/{self.folder.name}/attributes/{name}"] = text
        self.environment["LONGHAUL_PORT"] = str(port)
        self.environment["ADDRESS"] = endpoints.split(",")[number].split(":")[-1]

    def uploaded(self, job, end):
        objects = self.google.bucket.objects("bucket")
        return objects[f"{job.workdir.removeprefix('gs://bucket/')}/logs/imdb.{end}"].decode()


def make_tpu_job(workdir="gs://bucket/runs/imdb", arguments=(), **changes):
    arguments = ("--config=configs/sample.py", *arguments, f"--workdir={workdir}")
    return make_job(arguments=arguments, workdir=workdir, **changes)


def run(machine, job, codes):
    """Boots a machine whose job exits with these codes, one each start; returns the exit code."""
    machine.codes.write_text("".join(f"{code}\n" for code in codes))
    return machine.boot(job).wait(timeout=60)
