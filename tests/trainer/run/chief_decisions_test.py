"""What all workers of a job read, on a worker that is not the chief."""

import types

import pytest

from storage.errors import UserError
from storage.store import open_store
from tests.trainer.run.faults_test import save
from trainer.run.checkpoints import ranked
from trainer.run.chief_decisions import restore_on_all


def test_checkpoint_that_only_the_chief_can_read_is_a_user_error(tmp_path):
    store = open_store(str(tmp_path))
    save(store, 1)
    (picked,) = ranked(store, "last")
    worker = types.SimpleNamespace(
        is_chief=False, from_chief=lambda _: [picked.claim, picked.step, picked.digest]
    )
    store.delete(f"{picked.prefix}.index")
    with pytest.raises(
        UserError, match=r"this worker can't read what the chief has read: .* lacks"
    ):
        restore_on_all(worker, store, "last", lambda *_: None)
