"""The numbered tasks that this worker takes while it reads a source from beginning to end.

    share = Share(worker, "train", groups=[range(16), range(16, 20)], done=made)
    if share.start():                    # there is something to read the source for
        share.enter(group)               # before the first review of each group
        if number in share.mine: ...
        share.release(number)            # once it is done

Tasks of a group need the same reviews, so that each worker takes its part of them at once.
"""

from collections.abc import Callable, Collection, Sequence

from storage.leases import Worker


class Share:
    """The tasks that this worker has claimed. `mine` are the numbers of those not done yet."""

    def __init__(
        self,
        worker: Worker,
        kind: str,
        groups: Sequence[range],
        done: Callable[[range], Collection[int]],
    ):
        """`kind` names the tasks; `done` returns those of a range of numbers that are done."""
        self._worker, self._kind, self._groups, self._done = worker, kind, groups, done
        self.mine: set[int] = set()

    def start(self) -> bool:
        """Claims tasks of the first group that has free ones; returns False when none has."""
        everything = range(self._groups[-1].stop)
        done = self._done(everything)
        free = {*self._worker.free(self._task(n) for n in everything if n not in done)}
        groups = (i for i, group in enumerate(self._groups) if free & {*map(self._task, group)})
        return any(self.enter(group) for group in groups)

    def enter(self, group: int) -> bool:
        """Claims a fair part of a group's tasks, once; returns True when it has some of them."""
        numbers = self._groups[group]
        if not self.mine & {*numbers}:
            tasks = {self._task(number): number for number in numbers}
            taken = self._worker.take(
                tasks, len(tasks), done=lambda: {*map(self._task, self._done(numbers))}
            )
            self.mine |= {tasks[task] for task in taken}
        return bool(self.mine & {*numbers})

    def release(self, number: int) -> None:
        """Gives back a task that is done."""
        self.mine.remove(number)
        self._worker.release(self._task(number))

    def _task(self, number: int) -> str:
        return f"{self._kind}-{number:06}"
