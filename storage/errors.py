"""The exceptions a user is meant to read.

    raise UserError("train.batch_size: got 0, expected a positive number")

`trainer.main` prints its text as one line and exits with code 1; everything else that is raised is
a bug and keeps its traceback.
"""


class UserError(Exception):
    """Something the user can mend: says what is wrong, what was accepted and what to do."""


class Corrupt(UserError):
    """Bytes that came out of a store, or arrived in it, with another checksum, again and again."""


class Superseded(UserError):
    """A newer process has taken over the run; this one must write nothing more."""
