"""Trains, evaluates or uses a sentiment classifier of reviews; see README.md.

    python -m trainer --config=configs/sample.py --workdir=runs/sample
    python -m trainer --mode=evaluate --workdir=runs/sample
    python -m trainer --mode=predict --workdir=runs/sample --text="A film to remember."

The training command again, on the same workdir, resumes the run.
"""

# Kept short on purpose: flags, the table of modes, and one call. Only the module of the mode that
# was asked for is imported, and TensorFlow only for a mode that works with it, once the flags have
# been checked.

import importlib
import os
import sys
import time
from typing import Any, NamedTuple

from absl import flags

from configs.schema import command_line, rules
from configs.schema.stored import stored_config
from storage import standard_streams, url_list
from storage.errors import UserError
from storage.exit_codes import RUN_AGAIN
from storage.store import Store, open_store
from trainer.machines.preemption import StopRequests
from trainer.modes.interface import EXPORTED_GRAPH, Call
from trainer.run import quick_imports, terminal

_STARTED = time.monotonic()


class Mode(NamedTuple):
    """What a user can ask for."""

    module: str  # has `run(call)`
    flags: tuple[str, ...]  # what it takes beside --mode and --workdir
    needs_config: bool = True  # or else the run in the workdir has one
    tensorflow: bool = True  # whether it works with TensorFlow
    prints_answer: bool = False  # whether it has failed when its output is lost
    accepts_export: bool = False  # whether the workdir may be the folder of an export instead
    trains: bool = False  # whether a training of the config is asked for, or prepared
    averages: bool = False  # whether it takes several workdirs, whose runs it averages


MODES = {
    "train_and_evaluate": Mode("trainer.modes.train", ("config",), trains=True),
    "evaluate": Mode(
        "trainer.modes.evaluate",
        ("config", "checkpoint"),
        needs_config=False,
        prints_answer=True,
        averages=True,
    ),
    "predict": Mode(
        "trainer.modes.predict",
        ("config", "checkpoint", "text", "input", "output", "text_column", "on_bad_row"),
        needs_config=False,
        prints_answer=True,
        averages=True,
    ),
    "export": Mode(
        "trainer.modes.export",
        ("checkpoint", "to"),
        needs_config=False,
        prints_answer=True,
    ),
    "explain": Mode(
        "trainer.modes.explain",
        ("checkpoint", "text", "to"),
        needs_config=False,
        prints_answer=True,
    ),
    "report": Mode(
        "trainer.modes.report",
        ("compare", "to"),
        needs_config=False,
        tensorflow=False,
        prints_answer=True,
    ),
    "serve": Mode(
        "trainer.modes.serve",
        ("config", "checkpoint", "host", "port", "name"),
        needs_config=False,
        accepts_export=True,
    ),
    "prepare": Mode("trainer.modes.prepare", ("config",), trains=True),
    "vectors": Mode("trainer.modes.vectors", ("config",)),
}

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string(
    "workdir",
    None,
    "Folder or gs:// URL of the run; the same command again resumes it. evaluate and predict "
    r"average several, with commas between; a comma in a name is written as \,",
)
_MODE = flags.DEFINE_enum("mode", "train_and_evaluate", list(MODES), "What to do.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    "best",
    "Which checkpoint to use: best, last or a step.",
)
_TEXT = flags.DEFINE_multi_string(
    "text",
    None,
    "A review to predict or explain; may be given several times. predict reads standard input "
    "without it, a review a line.",
)
_TO = flags.DEFINE_string(
    "to", "", "Folder or gs:// URL that is written to; by default in the workdir."
)
_INPUT = flags.DEFINE_string("input", "", "File of reviews to predict: .csv, .jsonl or .parquet.")
_OUTPUT = flags.DEFINE_string("output", "", "File for the rows of --input with their predictions.")
_TEXT_COLUMN = flags.DEFINE_string(
    "text_column", "", "Column of --input that holds the text; by default the one of the training."
)
_ON_BAD_ROW = flags.DEFINE_enum(
    "on_bad_row", "fail", ["fail", "skip"], "What to do with a row of --input that has no text."
)
_COMPARE = flags.DEFINE_multi_string(
    "compare",
    None,
    "Workdirs, with commas between, that the report compares the workdir with; may be given "
    "several times.",
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address that the server listens on.")
_PORT = flags.DEFINE_integer("port", 8501, "Port that the server listens on; 0 takes a free one.")
_NAME = flags.DEFINE_string("name", "longhaul", "Name of the model in the server's URLs.")
_QUIET = flags.DEFINE_bool("quiet", False, "Prints results, warnings and errors only.")
_OF_SOME_MODES = {
    holder.name: holder
    for holder in (
        *(_CONFIG, _CHECKPOINT, _TEXT, _TO, _INPUT, _OUTPUT, _TEXT_COLUMN, _ON_BAD_ROW),
        *(_COMPARE, _HOST, _PORT, _NAME),
    )
}


def main(argv: list[str]) -> None:
    """Runs the mode; exit code 1 and one line for a UserError, 75 when stopped from outside."""
    if argv[1:]:
        hint = (
            f"did you mean --mode={argv[1]}?" if argv[1] in MODES else "quote a value with spaces"
        )
        sys.exit(f"error: {argv[1]!r}: not a flag; {hint}")
    # TensorFlow reads it when it is imported. Level 2 would print a long error about a lost worker.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3" if os.environ.get("TF_CONFIG") else "2")
    try:
        _run_mode(_MODE.value)
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "Stopped.", file=sys.stderr, flush=True)
        standard_streams.finish(RUN_AGAIN)
        # At once: an ordinary exit would wait for an upload in progress.
        os._exit(RUN_AGAIN)


def _run_mode(name: str) -> None:
    mode, config = MODES[name], _CONFIG.value
    _check_flags(name, mode)
    if _QUIET.value:
        terminal.be_quiet()
    if not _WORKDIR.value:
        raise UserError("--workdir: missing; give the folder of the run, such as runs/sample")
    if config is not None:
        rules.check(config, trains=mode.trains)
    elif mode.needs_config:
        raise UserError("--config: missing; give a config such as configs/sample.py")
    patience = {} if config is None else {"retry_seconds": config.checkpoint.retry_seconds}
    store, *others = (open_store(url, **patience) for url in _workdirs(_WORKDIR.value, name, mode))
    if not mode.needs_config:
        for workdir in (store, *others):
            _check_workdir(workdir, mode)
    if not mode.prints_answer:
        standard_streams.make_output_optional()
    module = _import(mode)

    with StopRequests() as stop:
        module.run(Call(store, config, stop, _STARTED, others, **_flags()))


def _workdirs(value: str, name: str, mode: Mode) -> list[str]:
    """Returns the folders and URLs of --workdir; UserError when the mode takes one only."""
    workdirs = url_list.split("--workdir", value)
    if len(workdirs) > 1 and not mode.averages:
        takers = "|".join(other for other, its in MODES.items() if its.averages)
        raise UserError(
            f"--workdir: got {len(workdirs)} with commas between, but --mode={name} takes one; "
            f"several are for --mode={takers}; write a comma in a name as {url_list.quoted(',')}"
        )
    return workdirs


def _check_workdir(store: Store, mode: Mode) -> None:
    """Raises UserError for a workdir that the mode can't use, before the slow imports."""
    is_export = store.exists(EXPORTED_GRAPH)
    if is_export and not mode.accepts_export:
        raise UserError(
            f"--workdir: {store.url} is an export, which only --mode=serve takes; give the workdir "
            "of the run"
        )
    if not is_export:
        stored_config(store)


def _flags() -> dict[str, Any]:
    """Returns the fields of a call that are flags of the same name."""
    values = {name: holder.value for name, holder in _OF_SOME_MODES.items() if name != "config"}
    compared = [url for urls in _COMPARE.value or () for url in url_list.split("--compare", urls)]
    return {**values, "text": tuple(_TEXT.value or ()), "compare": tuple(compared)}


def _check_flags(name: str, mode: Mode) -> None:
    """Raises UserError when a flag was given that the mode doesn't take."""
    for flag, holder in _OF_SOME_MODES.items():
        if flags.FLAGS[holder.name].present and flag not in mode.flags:
            *accepted, last = ("--workdir", *(f"--{taken}" for taken in mode.flags))
            takers = "|".join(other for other, its in MODES.items() if flag in its.flags)
            raise UserError(
                f"--{flag}: got {holder.value!r}, but --mode={name} doesn't take it; accepted are "
                f"{' and '.join(filter(None, (', '.join(accepted), last)))}; --{flag} is a flag of "
                f"--mode={takers}"
            )


def _import(mode: Mode) -> Any:
    """Imports the mode's module; TensorFlow's start-up messages are held back."""
    if not mode.tensorflow:
        return importlib.import_module(mode.module)
    from trainer.machines.startup_messages import quiet_start

    with quiet_start(), quick_imports.without_collection():
        with quick_imports.hidden(*quick_imports.OPTIONAL):
            importlib.import_module("keras")  # and TensorFlow
        imported = importlib.import_module(mode.module)
        from trainer.machines.strategy import device_count

        device_count()
    return imported


def run() -> None:
    """Parses the flags and runs; the entry point of `python -m trainer` and of `longhaul`."""
    command_line.run(main)
