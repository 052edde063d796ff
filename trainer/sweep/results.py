"""What has come of a trial, from what its run has left, and what the sweep keeps of that.

    result = of_run(store, trial)           # score, epochs and time so far
    keep(store, trial, result._replace(state=DONE))
    kept(store, trial)                      # None until the trial is settled
    current(store, trials)                  # a result for each, settled or not

A settled trial has results/NAME.json. The score of a run is the validation score of its best
checkpoint, higher is better.
"""

import json
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from storage import json_object
from storage.errors import UserError
from storage.store import Store, open_store
from trainer.run.checkpoints import ranked
from trainer.run.record import Line, read_lines
from trainer.sweep.trials import Trial

FOLDER = "results/"
# States. The first three are settled; a failed trial is tried again by the next command.
DONE, STOPPED_EARLY, FAILED = "done", "stopped early", "failed"
UNFINISHED, NOT_BEGUN = "unfinished", "not begun"
_THREADS = 16  # that wait for a bucket


class Result(NamedTuple):
    """What is known of a trial."""

    state: str
    score: float | None = None  # of the best checkpoint; None before the first epoch ends
    step: int | None = None  # of that checkpoint
    scores: Sequence[float] = ()  # after each epoch
    seconds: float = 0.0  # wall time of all starts, up to their last lines of metrics
    message: str = ""  # why it failed
    attempt: int = 0  # counts the failures

    @property
    def epochs(self) -> int:
        """Returns how many epochs were trained and validated."""
        return len(self.scores)

    def after(self, epoch: int) -> "Result":
        """Returns what was known after an epoch, as the result of a trial that is stopped there.

        Its run may have trained on for a moment.
        """
        scores = self.scores[:epoch]
        best = max(filter(math.isfinite, scores), default=None)
        step = self.step if best == self.score else None
        return self._replace(state=STOPPED_EARLY, score=best, step=step, scores=scores)


def of_run(store: Store, trial: Trial) -> Result:
    """Returns what the run of a trial has left in its workdir, as unfinished or not begun."""
    workdir = open_store(f"{store.url.rstrip('/')}/{trial.folder}")
    lines = read_lines(workdir)
    best = next(iter(ranked(workdir, "best")), None)
    scores = scores_of(lines)
    return Result(
        state=UNFINISHED if lines or best else NOT_BEGUN,
        score=best.score if best else None,
        step=best.step if best and best.score is not None else None,
        scores=scores,
        seconds=_seconds(lines),
    )


def scores_of(lines: Iterable[Line]) -> list[float]:
    """Returns the score after each epoch, as a run ranks its checkpoints; nan where it has none."""
    return [
        line.value("accuracy") if "accuracy" in line.values else -line.value("loss")
        for line in lines
        if line.kind == "validation"
    ]


def scores_so_far(store: Store, trial: Trial) -> list[float]:
    """Returns the score after each epoch of a trial that may be running."""
    return scores_of(read_lines(open_store(f"{store.url.rstrip('/')}/{trial.folder}")))


def keep(store: Store, trial: Trial, result: Result) -> None:
    """Settles a trial."""
    store.write(_name(trial), (json.dumps(to_json(result), indent=1) + "\n").encode())


def to_json(result: Result) -> dict[str, Any]:
    """Returns the fields as JSON has them; a score that is not finite is null."""
    scores = [score if math.isfinite(score) else None for score in result.scores]
    return {**result._asdict(), "scores": scores}


def kept(store: Store, trial: Trial) -> Result | None:
    """Returns the result of a settled trial; None for another one."""
    try:
        fields = json_object.parse(store.read(_name(trial)))
        scores = [math.nan if score is None else float(score) for score in fields.pop("scores")]
        return Result(scores=scores, **fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"--workdir: {store.url}/{_name(trial)} can't be read ({error}); delete it and give "
            "the command of the sweep, which writes it again"
        ) from error


def kept_of(store: Store, trials: Sequence[Trial]) -> dict[str, Result]:
    """Returns the results of the settled ones among the trials, by name."""
    names = set(store.list(FOLDER))
    settled = [trial for trial in trials if _name(trial) in names]
    with ThreadPoolExecutor(_THREADS) as threads:
        found = threads.map(lambda trial: kept(store, trial), settled)
        return {trial.name: r for trial, r in zip(settled, found, strict=True) if r is not None}


def current(store: Store, trials: Sequence[Trial]) -> dict[str, Result]:
    """Returns the result of each trial by name, of those that are not settled as it is now."""
    settled = kept_of(store, trials)
    others = [trial for trial in trials if trial.name not in settled]
    with ThreadPoolExecutor(_THREADS) as threads:
        found = threads.map(lambda trial: of_run(store, trial), others)
        settled |= zip((trial.name for trial in others), found, strict=True)
    return {trial.name: settled[trial.name] for trial in trials}


def _seconds(lines: Iterable[Line]) -> float:
    """Returns the sum over the starts; a line's seconds count from the beginning of its start."""
    starts = {line.start: line.value("seconds") for line in lines if "seconds" in line.values}
    return sum(starts.values())


def _name(trial: Trial) -> str:
    return f"{FOLDER}{trial.name}.json"
