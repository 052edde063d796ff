"""`python -m trainer`; see `trainer.main`."""

from trainer.main import run

run()
