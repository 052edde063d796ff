"""The services that a TPU VM calls."""

import pytest

from tests.deploy.payload import tpu_machine


@pytest.fixture
def google():
    with tpu_machine.services() as started:
        yield started
