"""The requests and start-up scripts as golden files, and the equivalent command.

`python -m tests.deploy.targets.tpu_vm.request_test` writes the golden files again.
"""

import json
import shlex

import pytest
from google.cloud import tpu_v2

from configs import sample
from deploy.targets.tpu_vm.gcloud_command import gcloud_command
from deploy.targets.tpu_vm.options import Options
from deploy.targets.tpu_vm.request import check_oneofs, make_request, render_request
from deploy.targets.tpu_vm.startup_script import PARTS, requirements, startup_script
from deploy.targets.tpu_vm.target import TARGET
from storage.errors import UserError
from tests.deploy.examples import GOLDEN
from tests.deploy.targets.tpu_vm.jobs import (
    CASES,
    HOSTILE,
    RESERVED,
    SPOT,
    make_options,
    make_tpu_job,
)

BOOTSTRAP = "print('the bootstrap')\n"


def rendered(name):
    """Returns the request as JSON, with a file name in place of the script, and the script."""
    job, options = make_tpu_job(), Options(**CASES[name])
    content = json.loads(render_request(make_request(job, options)))
    (spec,) = content["queuedResource"]["tpu"]["nodeSpec"]
    script = spec["node"]["metadata"]["startup-script"]
    spec["node"]["metadata"]["startup-script"] = f"<{name}.sh>"
    # The bootstrap has tests of its own, and the texts after the values are files of the product.
    for part in PARTS:
        script = script.replace(part.read_text(encoding="utf-8"), f"<{part.name}>\n")
    script = script.replace(" ".join(requirements()), "<tpu_requirements.txt>")
    script = script.replace(shlex.quote(job.command[2]), shlex.quote(BOOTSTRAP))
    return json.dumps(content, indent=2, sort_keys=True) + "\n", script


@pytest.mark.parametrize("name", CASES)
def test_request_equals_the_golden_files(name):
    content, script = rendered(name)
    assert content == (GOLDEN / f"{name}.json").read_text()
    assert script == (GOLDEN / f"{name}.sh").read_text()


def test_gcloud_command_has_the_values_of_the_request():
    options = Options(**SPOT)
    job = make_tpu_job(extra=(HOSTILE,))
    words = shlex.split(gcloud_command(job, options))
    script = startup_script(job, options)
    assert words[:6] == ["printf", "%s", script, ">", "imdb-startup.sh", "&&"]
    del words[:6]
    assert words[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "imdb"]
    assert {
        "--spot", "--zone=us-west4-a", "--project=some-project", "--network=private",
        "--accelerator-type=v5litepod-8", f"--service-account={options.service_account}",
        "--metadata-from-file=startup-script=imdb-startup.sh",
    } <= set(words)  # fmt: skip


def test_gcloud_command_of_a_reservation_without_external_addresses():
    words = shlex.split(gcloud_command(make_tpu_job(), Options(**RESERVED)))
    words = words[words.index("&&") + 1 :]
    assert words[:3] == ["gcloud", "alpha", "compute"]
    assert {
        "--internal-ips", f"--subnetwork={RESERVED['subnetwork']}",
        "--reservation=projects/some-project/locations/us-west4-a/reservations/january",
    } <= set(words)  # fmt: skip


def test_prerequisites_name_the_shards_that_a_job_reads():
    config = sample.get_config()
    assert "shards" not in " ".join(TARGET.prerequisites(make_tpu_job(), make_options()))
    config.data.source = "shards:gs://bucket/imdb"
    lines = TARGET.prerequisites(make_tpu_job(config=config), make_options())
    assert "gs://bucket/imdb" in lines[-1]


@pytest.mark.parametrize(("chips", "fits"), [(4, True), (16, True), (64, True), (256, False)])
def test_chips_have_to_divide_a_batch(chips, fits):
    options = make_options(accelerator_type=f"v5litepod-{chips}")
    job = make_tpu_job()  # its batches are of 64
    if fits:
        assert make_request(job, options)
    else:
        with pytest.raises(UserError, match=r"train\.batch_size: got 64"):
            make_request(job, options)


@pytest.mark.parametrize(("field", "value"), [("name", "mirrored"), ("tpu", "some-tpu")])
def test_strategy_that_does_not_fit_a_tpu_is_refused(field, value):
    config = sample.get_config()
    config.strategy[field] = value
    with pytest.raises(UserError, match=rf"config\.strategy\.{field}: got '{value}'"):
        make_request(make_tpu_job(config=config), make_options())


def test_script_longer_than_the_metadata_limit_is_refused():
    job = make_tpu_job(extra=tuple(f"--config.data.dir={'a' * 9_000}" for _ in range(30)))
    with pytest.raises(UserError, match="accepted are 262,144"):
        make_request(job, make_options())


def test_tier_that_replaced_another_is_noticed():
    resource = tpu_v2.QueuedResource(tpu={"node_spec": [{"node_id": "imdb"}]})
    resource.spot = tpu_v2.QueuedResource.Spot()
    resource.guaranteed = tpu_v2.QueuedResource.Guaranteed()
    with pytest.raises(ValueError, match="guaranteed"):
        check_oneofs(resource, Options(**SPOT))


if __name__ == "__main__":
    for golden in CASES:
        json_text, script_text = rendered(golden)
        (GOLDEN / f"{golden}.json").write_text(json_text)
        (GOLDEN / f"{golden}.sh").write_text(script_text)
