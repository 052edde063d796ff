"""Exit codes of the trainer, of the deploy commands and of a job's launchers.

    sys.exit(RUN_AGAIN)

The scripts in deploy/payload run on machines without longhaul and repeat these numbers.
"""

DONE = 0  # only when the work is done
FAILED = 1  # a restart won't help; one line on standard error says what to do
RUN_AGAIN = 75  # stopped from outside; the same command resumes (EX_TEMPFAIL of sysexits.h)
