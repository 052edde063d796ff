"""The command line: flags, then one call.

    python -m trainer --config=configs/sample.py --workdir=runs/sample
    python -m trainer --mode=predict --workdir=runs/sample --text="A film to remember."

Kept this short on purpose: whatever does work can be called without flags.
"""

import contextlib
import os
import sys
import time

from absl import app, flags, logging

from configs.schema import command_line, rules
from storage.errors import UserError
from storage.store import open_store
from trainer.machines.preemption import STOPPED_FROM_OUTSIDE, StopRequests

_STARTED = time.monotonic()

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder or gs:// URL; the same resumes.")
_MODES = ["train_and_evaluate", "evaluate", "predict", "prepare"]
_MODE = flags.DEFINE_enum("mode", "train_and_evaluate", _MODES, "What to do.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "For evaluate, predict: best, last, STEP.")
_TEXT = flags.DEFINE_multi_string("text", [], "For predict: a review; else standard input's lines.")


def main(argv: list[str]) -> None:
    """Runs the mode; exit code 1 and one line for a UserError, 75 when interrupted."""
    if argv[1:]:
        sys.exit(f"error: {argv[1]!r}: no flag; quote a value that has spaces")
    # Read when TensorFlow is imported. Of a worker that is lost it would print an error at length.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if os.environ.get("TF_CONFIG") else "2")
    try:
        with StopRequests() as stop:
            _run_mode(_CONFIG.value, stop)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "Stopped.", file=sys.stderr, flush=True)
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        # At once: an upload may be under way, which an ordinary exit would wait for.
        os._exit(STOPPED_FROM_OUTSIDE)
    except BrokenPipeError:  # whoever read the output has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _run_mode(config, stop: StopRequests) -> None:
    if not _WORKDIR.value:
        raise UserError("--workdir: missing; give the folder of the run, such as runs/sample")
    if config is not None:
        rules.check(config)
    elif _MODE.value in ("train_and_evaluate", "prepare"):
        raise UserError("--config: missing; give a config such as configs/sample.py")
    patience = {} if config is None else {"retry_seconds": config.checkpoint.retry_seconds}
    store = open_store(_WORKDIR.value, **patience)
    # Imported now: a mistake in the flags shouldn't wait for TensorFlow.
    from trainer.machines.quiet import quiet_start

    with quiet_start():
        from trainer.machines import strategy
        from trainer.modes import evaluate, predict, prepare, train
        from trainer.run import clock, workdir

        strategy.devices()
    if _MODE.value == "train_and_evaluate":
        train.train_and_evaluate(config, store, clock.Clock(started=_STARTED), stop)
        return
    if _MODE.value == "prepare":
        prepare.prepare(config, store)
        return
    config = workdir.scoring_config(store, config)
    if _MODE.value == "evaluate":
        evaluate.evaluate(config, store, _CHECKPOINT.value)
    else:
        texts = _TEXT.value or predict.lines(sys.stdin.buffer)
        predict.predict(config, store, _CHECKPOINT.value, texts)


def run() -> None:
    """Parses the flags and runs; the way in of `python -m trainer`."""
    logging.set_verbosity(logging.WARNING)
    sys.stdout.reconfigure(encoding="utf-8")
    app.run(main, flags_parser=command_line.parse)
