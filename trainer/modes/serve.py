"""Mode `serve`: answers requests over HTTP with a run's network, or with an export of one.

    python -m trainer --mode=serve --workdir=runs/imdb --port=8501

docs/serving.md describes the interface, which is that of TensorFlow Serving.
"""

import gc
import importlib.util
import re
import sys

from configs import default
from storage.errors import UserError
from trainer.modes.interface import EXPORTED_GRAPH, Call
from trainer.run.workdir import scoring_config

_EXTRA = ("prometheus_client", "starlette", "uvicorn")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_PORTS = range(65536)


def run(call: Call) -> None:
    """Runs the mode until the process is asked to stop, which is no error then."""
    _check(call)
    from trainer.serving import served_model, server
    from trainer.serving.application import application
    from trainer.serving.metrics import Metrics

    # Limits are about the machine that serves, not about the run.
    limits = (call.config or default.get_config()).serving
    with server.bound_socket(call.host, call.port) as listener:
        if call.store.exists(EXPORTED_GRAPH):
            model = served_model.from_export(call.store)
        else:
            config = scoring_config(call.store, call.config)
            model = served_model.from_run(config, call.store, call.checkpoint)
        metrics, hosts = Metrics(), server.allowed_hosts(call.host)
        app = application(model, call.name, limits, metrics, hosts)
        url = server.listen(listener, call.host)
        line = f"Serving {call.store.url}, step {model.version}, at {url}"
        if not server.is_loopback(call.host):
            print("WARNING: anyone who reaches this address can use it", file=sys.stderr)
        gc.freeze()  # or else a collection goes through all that TensorFlow has loaded, for 0.2 s
        running = server.Server(app, limits, metrics, call.stop)
        running.serve_on(listener, lambda: print(line, flush=True))


def _check(call: Call) -> None:
    """Raises UserError for flags that can't be used, before the model is loaded."""
    if missing := [name for name in _EXTRA if importlib.util.find_spec(name) is None]:
        raise UserError(f"--mode: serve needs {', '.join(missing)}; pip install 'longhaul[serve]'")
    if not _NAME.fullmatch(call.name):
        raise UserError(
            f"--name: got {call.name!r}, accepted are up to 100 letters, digits, '_', '.' and '-'"
        )
    if call.port not in _PORTS:
        raise UserError(f"--port: got {call.port}, accepted is 0 to 65535")
    if call.store.exists(EXPORTED_GRAPH) and call.checkpoint != "best":
        raise UserError(
            f"--checkpoint: got {call.checkpoint!r}, but {call.store.url} is an export, which has "
            "one network; leave the flag out"
        )
