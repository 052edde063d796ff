"""The shell command that submits the same CustomJob with gcloud.

print(gcloud_command(job, options))
"""

import json
import shlex

from deploy.job import Job
from deploy.targets.vertex.options import Options
from deploy.targets.vertex.request import as_rest, make_request


def gcloud_command(job: Job, options: Options) -> str:
    """Returns a shell command that pipes the job's specification into gcloud."""
    custom_job = make_request(job, options).custom_job
    spec = json.dumps(as_rest(custom_job.job_spec), sort_keys=True, ensure_ascii=False)
    labels = ",".join(f"{key}={value}" for key, value in sorted(custom_job.labels.items()))
    gcloud = ["gcloud", "ai", "custom-jobs", "create", f"--region={options.region}"]
    gcloud += [f"--project={options.project}", f"--display-name={job.name}", f"--labels={labels}"]
    return f"{shlex.join(['printf', '%s', spec])} | {shlex.join([*gcloud, '--config=/dev/stdin'])}"
