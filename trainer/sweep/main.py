"""Trains a config with each combination of some values, and ranks the runs by validation score.

    python -m trainer.sweep --config=configs/imdb.py --workdir=runs/sweep \\
      --grid='model.dropout=0.2,0.4;optimizer.learning_rate=1e-3,2e-3' --seeds=0,1,2
    python -m trainer.sweep --workdir=runs/sweep --table

The same command again, on the same workdir, resumes the sweep; at the same time on other machines
it shares the trials. See docs/sweeps.md.
"""

import os
import shlex
import sys
from collections.abc import Sequence

import ml_collections
from absl import flags

from configs.schema import command_line, rules
from storage import cores, standard_streams
from storage.errors import UserError
from storage.exit_codes import DONE, RUN_AGAIN
from storage.store import Store, open_store
from trainer.machines.preemption import StopRequests
from trainer.run import terminal
from trainer.sweep import grid as grids
from trainer.sweep import ranking, results, tables, trials
from trainer.sweep.halving import Halving
from trainer.sweep.process import LOGS
from trainer.sweep.running import Sweep
from trainer.sweep.trials import Trial

_CONFIG = command_line.define_config()
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder or gs:// URL of the sweep.")
_GRID = flags.DEFINE_string(
    "grid", "", "Fields with their values: 'model.dropout=0.2,0.4;model.layer_sizes=(64,),(64,32)'."
)
_SEEDS = flags.DEFINE_string(
    "seeds", "", "Trains each point of the grid once a seed: '0,1,2' is a grid over `seed`."
)
_TRIALS = flags.DEFINE_integer(
    "trials", 0, "Trains so many random points of the grid; 0 trains all.", lower_bound=0
)
_DRAW_SEED = flags.DEFINE_integer("draw_seed", 0, "Seed of the random points of --trials.")
_STOP_EARLY = flags.DEFINE_bool(
    "stop_early",
    False,
    "Stops a trial after 1, 3, 9, ... epochs unless its score is among the best third so far.",
)
_PARALLEL = flags.DEFINE_integer(
    "parallel", 1, "Trials that run on this machine at once.", lower_bound=1
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Checks and lists the trials, and starts none.")
_TABLE = flags.DEFINE_bool("table", False, "Shows the sweep in the workdir, and starts no trial.")
_OF_NEW_TRIALS = (
    _CONFIG,
    _GRID,
    _SEEDS,
    _TRIALS,
    _DRAW_SEED,
    _STOP_EARLY,
    _PARALLEL,
    _DRY_RUN,
)


def main(argv: list[str]) -> None:
    """Runs the sweep. Exit code 0: all trials are settled; 1: one failed; 75: some are left."""
    if argv[1:]:
        sys.exit(f"error: {argv[1]!r}: not a flag; quote a value that has spaces")
    try:
        sys.exit(_run())
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("Stopped; run the same command again.", file=sys.stderr, flush=True)
        standard_streams.finish(RUN_AGAIN)
        # At once: an ordinary exit would wait for an upload in progress.
        os._exit(RUN_AGAIN)


def _run() -> int:
    _check_flags()
    if _TABLE.value:
        store = _store()
        planned = trials.read(store)
        tables.show(store, planned, results.current(store, planned))
        return DONE
    if _CONFIG.value is None:
        raise UserError("--config: missing; give a config such as configs/imdb.py")
    rules.check(_CONFIG.value)
    given = command_line.config_arguments(sys.argv)
    planned = _planned(_CONFIG.value, given)
    if _DRY_RUN.value:
        if _WORKDIR.value:
            planned = trials.continued(_store(), planned, _CONFIG.value)
        for trial in planned:
            print(trial.name)
        print(f"{len(planned)} trial(s)")
        return DONE
    return _train(_store(), planned, _CONFIG.value, given)


def _check_flags() -> None:
    """Raises UserError for a flag that would have no effect."""
    for holder in _OF_NEW_TRIALS:
        if _TABLE.value and flags.FLAGS[holder.name].present:
            raise UserError(
                f"--{holder.name}: --table takes --workdir alone; leave out one of them"
            )
    if flags.FLAGS[_DRAW_SEED.name].present and not _TRIALS.value:
        raise UserError(
            f"--draw_seed: got {_DRAW_SEED.value}, but without --trials no points are drawn; give "
            "--trials=N"
        )


def _store() -> Store:
    if not _WORKDIR.value:
        raise UserError("--workdir: missing; give the folder of the sweep, such as runs/sweep")
    return open_store(_WORKDIR.value)


def _planned(config: ml_collections.ConfigDict, given: Sequence[str]) -> list[Trial]:
    """Returns the trials that the flags ask for; UserError for the first mistake in them."""
    grid = grids.parse(_GRID.value, config)
    if _SEEDS.value and "seed" in grid:
        raise UserError("--seeds: the --grid has values for seed already; give one of the two")
    seeds = grids.parse(f"seed={_SEEDS.value}", config) if _SEEDS.value else {}
    if not grid and not seeds:
        raise UserError(
            "--grid: it is empty; give fields with values, such as 'model.dropout=0.2,0.4'"
        )
    overridden = set(map(trials.field_of, given))
    for field in (*grid, *seeds):
        if field in trials.forced(config):
            raise UserError(
                f"--grid: config.{field}: the sweep sets it, so that no trial sees the test reviews"
            )
        if field in overridden:
            raise UserError(
                f"--config.{field}: {field} has values in the --grid or --seeds already; give one "
                "of the two"
            )
    size, per_point = grids.size(grid), grids.size(seeds)
    points = min(_TRIALS.value, size) or size
    if points * per_point > trials.MOST_TRIALS:
        raise UserError(
            f"--grid: got {points * per_point:,} trials, accepted are up to "
            f"{trials.MOST_TRIALS:,}; take random ones with --trials"
        )
    if _TRIALS.value > size:
        raise UserError(f"--trials: got {_TRIALS.value}, but the grid has {size} point(s)")
    drawn = grids.drawn_points(grid, points, _DRAW_SEED.value) if _TRIALS.value else None
    chosen = drawn or grids.all_points(grid)
    planned = trials.named([{**point, **s} for point in chosen for s in grids.all_points(seeds)])
    trials.check(planned, config)
    return planned


def _train(
    store: Store, planned: list[Trial], config: ml_collections.ConfigDict, given: Sequence[str]
) -> int:
    """Runs the trials, shows what has come of them, and returns the exit code."""
    standard_streams.make_output_optional()
    parallel = _PARALLEL.value
    # With several runs here, TensorFlow's own threads of each would be as many as there are cores.
    threads = max(1, cores.usable_cores() // parallel) if parallel > 1 else 0
    with StopRequests() as stop:
        planned = trials.keep(store, planned, config)
        terminal.say(f"{len(planned)} trial(s); the output of each is in {store.url}/{LOGS}")
        found = Sweep(
            store,
            planned,
            lambda trial: trials.command(trial, store.url, config, given, threads),
            epochs_of=lambda trial: trial.values.get("train.epochs", config.train.epochs),
            parallel=parallel,
            halving=Halving(store) if _STOP_EARLY.value else None,
        ).run(stop)
        tables.show(store, planned, found)
    best = ranking.best(planned, found)
    if best is not None:
        workdir = trials.workdir_flag(best, store.url)
        test = shlex.join(["python", "-m", "trainer", "--mode=evaluate", workdir, *given])
        terminal.say(f"Test the best one: {test}")
    return ranking.exit_code(found)


def run() -> None:
    """Parses the flags and runs."""
    command_line.run(main)
