"""The exceptions a user is meant to read.

    raise UserError("train.batch_size: got 0, expected a positive number")

`trainer.main` prints the text as one line and exits with code 1. Any other exception is a bug and
keeps its traceback.
"""


class UserError(Exception):
    """An error that the user can fix. It says what was given, what is accepted and what to do."""


class Corrupt(UserError):
    """One object of a store can't be transferred intact; others may be.

    Its bytes have another checksum, also after retries, or its file can't be read.
    """


class Superseded(UserError):
    """A newer start has taken over the run, so this process must write nothing more."""
