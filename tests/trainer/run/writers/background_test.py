"""A writer whose service is slow, fails, or belongs to a newer start."""

import threading

from storage.errors import Superseded
from trainer.run.writers.background import Background


class Tracker:
    """Collects what it is sent, and fails at a step if asked."""

    def __init__(self, fails_at=None):
        self.sent, self._fails_at = [], fails_at

    def write(self, kind, step, values):
        if step == self._fails_at:
            raise ConnectionError("the service is\nunreachable")
        self.sent.append((kind, step))

    def close(self, finished):
        self.sent.append(finished)


def warnings(caplog):
    return [record.getMessage() for record in caplog.records]


def write(writer, *steps):
    for step in steps:
        writer.write("train", step, {"loss": 0.5})


def test_lines_arrive_in_their_order_before_the_end():
    tracker = Tracker()
    writer = Background("mlflow", lambda: tracker, lambda: None)
    write(writer, 10, 20)
    writer.close(finished=False)
    assert tracker.sent == [("train", 10), ("train", 20), False]


def test_failure_is_one_warning_and_ends_no_training(caplog):
    tracker = Tracker(fails_at=20)
    writer = Background("mlflow", lambda: tracker, lambda: None)
    write(writer, 10, 20, 30)
    writer.close()
    write(writer, 40)
    assert tracker.sent == [("train", 10)]
    (warning,) = warnings(caplog)
    assert "mlflow is off until the next start (ConnectionError: the service is unre" in warning


def test_service_that_does_not_answer_is_not_waited_for(caplog):
    answer = threading.Event()

    def connect():
        answer.wait()
        return Tracker()

    writer = Background("wandb", connect, lambda: None)
    write(writer, 10)
    writer.close(seconds=0)
    answer.set()
    assert "wandb did not take all metrics in time" in warnings(caplog)[0]


def test_superseded_start_sends_nothing(caplog):
    def check():
        raise Superseded("start 2 has superseded this one")

    tracker = Tracker()
    writer = Background("wandb", lambda: tracker, check)
    write(writer, 10)
    writer.close()
    assert tracker.sent == []
    assert warnings(caplog) == []
