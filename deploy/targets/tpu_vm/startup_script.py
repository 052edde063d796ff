"""The start-up script of a TPU VM, which installs and runs a job and deletes the machine.

script = startup_script(job, Options(zone="us-west4-a"))
"""

import shlex
from pathlib import Path

from deploy.compatibility import expecting
from deploy.job import Job
from deploy.targets.tpu_vm.options import Options

_PAYLOAD = Path(__file__).parents[2] / "payload"
# In this order; what the first ones define the last one uses.
PARTS = [_PAYLOAD / f"tpu_{part}.sh" for part in ("google", "install", "startup")]
REQUIREMENTS = _PAYLOAD / "tpu_requirements.txt"


def startup_script(job: Job, options: Options) -> str:
    """Returns the job's values, each quoted, followed by the texts of `PARTS`."""
    values = {
        "NAME": job.name,
        "PROJECT": options.project,
        "ZONE": options.zone,
        "WORKDIR": job.workdir,
        "ARCHIVE": job.archive_url,
        "DIGEST": job.digest,
        "MAX_SECONDS": str(options.max_run_hours * 3600),
        "KEEP_SECONDS": str(options.keep_on_failure * 3600),
        "WHEELS": options.wheels,
        "SEVERAL": "yes" if options.is_slice_of_several else "",
        "BOOTSTRAP": job.bootstrap,
    }
    lists = {"REQUIREMENTS": requirements(), "ARGUMENTS": expecting(job, options.chips).arguments}
    header = [
        "#!/bin/bash",
        "# All values are quoted: the shell must not expand anything in them.",
        "# shellcheck disable=SC1003,SC2016",
        *(f"readonly {name}={shlex.quote(value)}" for name, value in values.items()),
        *(f"readonly {name}=({shlex.join(items)})" for name, items in lists.items()),
    ]
    return "\n".join([*header, *(part.read_text(encoding="utf-8") for part in PARTS)])


def requirements() -> list[str]:
    """Returns the pinned packages that the machine installs beside the job's archive."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]
