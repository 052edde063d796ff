"""The finished run as a model to serve, loaded once for all tests of the server."""

import pytest

from storage.store import open_store
from trainer.run.workdir import scoring_config
from trainer.serving import served_model


@pytest.fixture(scope="package")
def model(finished):
    store = open_store(str(finished))
    return served_model.from_run(scoring_config(store, None), store, "best")
