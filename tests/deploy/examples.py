"""A job of the sample config, and the text of a refusal, for all tests of jobs."""

from pathlib import Path

import pytest

from configs import sample
from deploy.job import Job
from storage.errors import UserError

REPOSITORY = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "targets" / "golden"
_LONGEST_LINE = 300  # characters


def make_job(**changes):
    """Returns a job of the sample config; `changes` replace its fields."""
    fields = {
        "name": "imdb",
        "arguments": ("--config=configs/sample.py", "--workdir=gs://bucket/runs/a"),
        "workdir": "gs://bucket/runs/a",
        "archive_url": "gs://bucket/longhaul/longhaul-0.1.0-0123456789abcdef.tar.gz",
        "digest": "0123456789abcdef" * 4,
        "config": sample.get_config(),
    }
    return Job(**{**fields, **changes})


def refusal(call, *arguments, **changes):
    """Returns the text of the UserError that a call raises, and checks that it is one line."""
    with pytest.raises(UserError) as raised:
        call(*arguments, **changes)
    text = str(raised.value)
    assert text.isprintable()
    assert len(text) < _LONGEST_LINE
    return text
