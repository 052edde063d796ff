"""Exit codes of the trainer, of the deploy commands and of a job's launchers.

    sys.exit(RUN_AGAIN)

The scripts in deploy/payload run on machines without longhaul and repeat these numbers.
"""

DONE = 0  # the work is done, and only then
FAILED = 1  # a restart won't help; one line on standard error says what to do
RUN_AGAIN = 75  # stopped from outside: the same command carries on (EX_TEMPFAIL of sysexits.h)
