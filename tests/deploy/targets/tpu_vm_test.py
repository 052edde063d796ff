"""Queued resources, by the official client against tests/tpu_server.

The files in golden/ are what is sent. After a change that is meant:

    python -m tests.deploy.tpu_vm_test
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud import tpu_v2
from grpc import StatusCode

from configs import sample
from deploy.job import Job, State
from deploy.targets.tpu_vm import target as tpu_vm
from storage.errors import UserError
from tests.fakes.tpu_server import TpuServer

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
GOLDEN = Path(__file__).parent / "golden"
BOOTSTRAP = "print('the bootstrap')\n"
PLAIN = {"zone": "us-west4-a"}
SPOT = {
    **PLAIN,
    "spot": True,
    "network": "private",
    "service_account": "trainer@some-project.iam.gserviceaccount.com",
    "accelerator_type": "v5litepod-8",
    "max_run_hours": 3,
}
SLICE = {**PLAIN, "accelerator_type": "v5litepod-16"}
RENDERED = {"tpu_v5e_4": PLAIN, "tpu_v5e_8_spot": SPOT, "tpu_v5e_16": SLICE}
HOSTILE = "--config.data.source=files:/a b;$(touch X)`touch X`'\" \\"


@pytest.fixture(autouse=True)
def project(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")


@pytest.fixture
def server():
    with TpuServer() as running:
        yield running


@pytest.fixture
def workdir(cloud, tmp_path):
    return f"gs://bucket/{tmp_path.name}/run"


def make_job(workdir="gs://bucket/runs/imdb", config=None, extra=()):
    return Job(
        name="imdb",
        arguments=("--config=configs/sample.py", *extra, f"--workdir={workdir}"),
        workdir=workdir,
        archive_url="gs://bucket/longhaul/longhaul-0.1.0-0123456789abcdef.tar.gz",
        digest="0123456789abcdef" * 4,
        config=config or sample.get_config(),
    )


def connect(server, workdir=None, patience=20.0):
    return tpu_vm.connect(tpu_vm.Options(**PLAIN), workdir, server.channel(), patience)


def submit(server, job):
    remote = connect(server)
    return remote, remote.submit(job, tpu_vm.request(job, tpu_vm.Options(**PLAIN)))


def put(cloud, workdir, name, data):
    cloud.put("bucket", f"{workdir.removeprefix('gs://bucket/')}/{name}", data)


def rendered(name):
    """The JSON with a golden script's name in its place, and the script."""
    job, options = make_job(), tpu_vm.Options(**RENDERED[name])
    content = json.loads(tpu_vm.render(tpu_vm.request(job, options)))
    (spec,) = content["queuedResource"]["tpu"]["nodeSpec"]
    script = spec["node"]["metadata"]["startup-script"]
    spec["node"]["metadata"]["startup-script"] = f"<{name}.sh>"
    # The bootstrap has tests of its own, and what follows the values is a file as it is.
    body = tpu_vm.STARTUP.read_text(encoding="utf-8")
    script = script.replace(body, f"<{tpu_vm.STARTUP.name}>\n")
    script = script.replace(" ".join(tpu_vm.requirements()), "<tpu_requirements.txt>")
    script = script.replace(shlex.quote(job.command[2]), shlex.quote(BOOTSTRAP))
    return json.dumps(content, indent=2, sort_keys=True) + "\n", script


@pytest.mark.parametrize("name", RENDERED)
def test_request_is_the_golden_one(name):
    content, script = rendered(name)
    assert content == (GOLDEN / f"{name}.json").read_text()
    assert script == (GOLDEN / f"{name}.sh").read_text()


@pytest.mark.parametrize("extra", [(), (HOSTILE, "--config.data.dir=$HOME", "--config.seed=1")])
def test_startup_script_passes_shellcheck(extra, tmp_path):
    path = tmp_path / "startup.sh"
    path.write_text(tpu_vm.startup_script(make_job(extra=extra), tpu_vm.Options(**SPOT)))
    done = subprocess.run([SHELLCHECK, path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


def test_hostile_argument_arrives_intact_and_executes_nothing(tmp_path):
    job = make_job(extra=(HOSTILE,))
    script = tpu_vm.startup_script(job, tpu_vm.Options(**PLAIN))
    header = script[: script.index("set -euo pipefail")]
    done = subprocess.run(
        ["bash", "-s"], input=header + '\nprintf "%s\\0" "${ARGUMENTS[@]}" "$BOOTSTRAP"',
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\0")[:-1] == [*job.arguments, job.command[2]]
    assert list(tmp_path.iterdir()) == []


def test_requirements_are_pinned_and_have_the_tpus_tensorflow():
    script = tpu_vm.startup_script(make_job(), tpu_vm.Options(**PLAIN))
    (line,) = (li for li in script.splitlines() if li.startswith("readonly REQUIREMENTS=("))
    items = shlex.split(line.partition("(")[2].rpartition(")")[0])
    assert items == tpu_vm.requirements()
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", item) for item in items)
    assert [item for item in items if item.startswith("tensorflow-tpu==")]
    assert not [item for item in items if item.startswith("tensorflow==")]


def test_gcloud_command_says_what_the_request_says():
    options = tpu_vm.Options(**SPOT)
    job = make_job(extra=(HOSTILE,))
    words = shlex.split(tpu_vm.equivalent(job, options))
    script = tpu_vm.startup_script(job, options)
    assert words[:6] == ["printf", "%s", script, ">", "imdb-startup.sh", "&&"]
    del words[:6]
    assert words[:6] == ["gcloud", "compute", "tpus", "queued-resources", "create", "imdb"]
    assert {
        "--spot", "--zone=us-west4-a", "--project=some-project", "--network=private",
        "--accelerator-type=v5litepod-8", f"--service-account={options.service_account}",
        "--metadata-from-file=startup-script=imdb-startup.sh",
    } <= set(words)  # fmt: skip


def test_prerequisites_name_the_shards_of_a_job_that_reads_some():
    config = sample.get_config()
    assert "shards" not in " ".join(tpu_vm.prerequisites(make_job(), tpu_vm.Options(**PLAIN)))
    config.data.source = "shards:gs://bucket/imdb"
    lines = tpu_vm.prerequisites(make_job(config=config), tpu_vm.Options(**PLAIN))
    assert "gs://bucket/imdb" in lines[-1]


@pytest.mark.parametrize(
    "bad",
    [
        {"zone": ""},
        {"zone": "us-west4"},
        {"zone": "us-west4-a\n"},
        {"project": "$(id)"},
        {"accelerator_type": "v5litepod-512"},
        {"accelerator_type": "v5litepod-4;"},
        {"accelerator_type": "v4-8"},
        {"runtime_version": "a b"},
        {"network": "a;b"},
        {"service_account": "me"},
        {"max_run_hours": 0},
    ],
)
def test_bad_option_is_refused_in_one_line(bad):
    (flag,) = bad
    with pytest.raises(UserError, match=rf"^--{flag}: got .* accepted is [^\n]+$"):
        tpu_vm.Options(**{**PLAIN, **bad})


@pytest.mark.parametrize(("chips", "fits"), [(4, True), (16, True), (64, True), (256, False)])
def test_every_chip_has_its_share_of_a_batch(chips, fits):
    options = tpu_vm.Options(**PLAIN, accelerator_type=f"v5litepod-{chips}")
    job = make_job()  # whose batches are of 64
    if fits:
        assert tpu_vm.request(job, options)
    else:
        with pytest.raises(UserError, match=r"train\.batch_size: got 64"):
            tpu_vm.request(job, options)


@pytest.mark.parametrize(("field", "value"), [("name", "mirrored"), ("tpu", "some-tpu")])
def test_strategy_that_no_tpu_has_is_refused(field, value):
    config = sample.get_config()
    config.strategy[field] = value
    with pytest.raises(UserError, match=rf"config\.strategy\.{field}: got '{value}'"):
        tpu_vm.request(make_job(config=config), tpu_vm.Options(**PLAIN))


def test_script_longer_than_a_machine_takes_is_refused():
    job = make_job(extra=tuple(f"--config.data.dir={'a' * 9_000}" for _ in range(30)))
    with pytest.raises(UserError, match="accepted are 262,144"):
        tpu_vm.request(job, tpu_vm.Options(**PLAIN))


def test_tier_that_overwrote_another_is_noticed():
    resource = tpu_v2.QueuedResource(tpu={"node_spec": [{"node_id": "imdb"}]})
    resource.spot = tpu_v2.QueuedResource.Spot()
    resource.guaranteed = tpu_v2.QueuedResource.Guaranteed()
    with pytest.raises(ValueError, match="guaranteed"):
        tpu_vm._check_oneofs(resource, tpu_vm.Options(**SPOT))


def test_job_lives_and_ends_with_success(server, cloud, workdir):
    remote, name = submit(server, make_job(workdir))
    assert name == "projects/some-project/locations/us-west4-a/queuedResources/imdb"
    assert remote.state("imdb") == State("WAITING_FOR_RESOURCES", False, False)
    for state in ("ACCEPTED", "PROVISIONING", "CREATING", "ACTIVE", "SUSPENDING", "DELETING"):
        server.move("imdb", state)
        assert remote.state("imdb") == State(state, False, False)
    put(cloud, workdir, "logs/imdb.log", b"step 1\n")
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    server.resources.clear()
    assert remote.state("imdb") == State("DELETED", True, True, "exit code 0")
    assert remote.logs("imdb") == "step 1\n"


@pytest.mark.parametrize(
    ("code", "detail"), [("1", "exit code 1"), ("124", "its --max_run_hours were over")]
)
def test_job_that_left_another_exit_code_has_failed(server, cloud, workdir, code, detail):
    put(cloud, workdir, "logs/imdb.exit", code.encode())
    assert connect(server, workdir).state("imdb") == State("DELETED", True, False, detail)


def test_failed_resource_says_why(server, workdir):
    remote, _ = submit(server, make_job(workdir))
    server.move("imdb", "FAILED", "no more capacity in the zone")
    assert remote.state("imdb") == State("FAILED", True, False, "no more capacity in the zone")


def test_job_that_has_ended_is_over_though_its_machine_is_still_there(server, cloud, workdir):
    remote, _ = submit(server, make_job(workdir))
    server.move("imdb", "ACTIVE")
    assert not remote.state("imdb").over
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    assert remote.state("imdb")[:3] == ("ACTIVE", True, True)
    assert "cancel it" in remote.state("imdb").detail


def test_exit_code_of_an_earlier_job_does_not_count(server, cloud, workdir):
    put(cloud, workdir, "logs/imdb.log", b"earlier\n")
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    remote, _ = submit(server, make_job(workdir))
    remote.cancel("imdb")
    state = remote.state("imdb")
    assert (state.over, state.succeeded) == (True, False)
    assert "cancelled" in state.detail


def test_cancel_deletes_resource_and_machine_once(server, cloud, workdir):
    remote, _ = submit(server, make_job(workdir))
    server.move("imdb", "ACTIVE")
    remote.cancel("imdb")
    assert not server.resources
    put(cloud, workdir, "logs/imdb.exit", b"0\n")
    remote.cancel("imdb")
    assert server.methods().count("DeleteQueuedResource") == 1


def test_logs_of_a_slice_are_those_of_all_its_machines(server, cloud, workdir):
    remote, _ = submit(server, make_job(workdir))
    for name, text in {
        "imdb.10.log": "ten", "imdb.log": "zero", "imdb.2.log": "two", "imdb-2.log": "another job",
        "imdb.exit": "0", "imdb.x.log": "nobody's",
    }.items():  # fmt: skip
        put(cloud, workdir, f"logs/{name}", f"{text}\n".encode())
    assert remote.logs("imdb") == "zero\n\n==> machine 2 <==\ntwo\n\n==> machine 10 <==\nten\n"


def test_log_of_a_running_job_is_found_without_a_workdir(server, cloud, workdir):
    submit(server, make_job(workdir))
    put(cloud, workdir, "logs/imdb.log", b"step 1\n")
    assert connect(server).logs("imdb") == "step 1\n"


def test_job_that_never_was_is_refused(server, workdir):
    for ask in ("state", "cancel"):
        with pytest.raises(UserError, match=r"imdb: no such job in .*us-west4-a"):
            getattr(connect(server, workdir), ask)("imdb")
    with pytest.raises(UserError, match=r"no log in .*/logs/imdb\.log"):
        connect(server, workdir).logs("imdb")
    with pytest.raises(UserError, match="--workdir"):
        connect(server).state("imdb")


def test_same_name_twice_is_refused_with_what_is_there(server, workdir):
    submit(server, make_job(workdir))
    server.move("imdb", "SUSPENDED")
    with pytest.raises(UserError, match=r"--name: .*/imdb exists already, it is SUSPENDED; give"):
        submit(server, make_job(workdir))
    assert server.created == 1


def test_one_submitted_in_the_same_moment_is_refused_as_well(server, workdir):
    submit(server, make_job(workdir))
    server.fail(StatusCode.NOT_FOUND, "GetQueuedResource")
    with pytest.raises(UserError, match=r"--name: .* exists already"):
        submit(server, make_job(workdir))
    assert server.created == 1


ERRORS = {
    StatusCode.INVALID_ARGUMENT: "refused .*change the flag",
    StatusCode.PERMISSION_DENIED: "not permitted .*role",
    StatusCode.NOT_FOUND: "is not there .*--project or --zone",
    StatusCode.ABORTED: "no good answer .*again",
    StatusCode.RESOURCE_EXHAUSTED: "quota exhausted .*later",
}


@pytest.mark.parametrize("code", ERRORS)
def test_error_of_the_service_is_one_line(server, workdir, code):
    server.fail(code, "CreateQueuedResource", "for\nthis reason")
    with pytest.raises(UserError, match=ERRORS[code]) as raised:
        submit(server, make_job(workdir))
    assert str(raised.value).isprintable()
    assert server.created == 0


@pytest.mark.parametrize("after", [False, True])
def test_call_that_fails_for_a_moment_is_repeated_and_creates_once(server, workdir, after):
    server.fail(
        StatusCode.UNAVAILABLE, "CreateQueuedResource", times=1 if after else 2, after=after
    )
    remote, name = submit(server, make_job(workdir))
    server.fail(StatusCode.UNAVAILABLE, "GetQueuedResource", times=2)
    assert name.endswith("/imdb")
    assert remote.state("imdb").text == "WAITING_FOR_RESOURCES"
    assert server.created == 1


def test_deletion_whose_answer_is_lost_is_one(server, workdir):
    remote, _ = submit(server, make_job(workdir))
    server.fail(StatusCode.UNAVAILABLE, "DeleteQueuedResource", after=True)
    remote.cancel("imdb")
    assert not server.resources


def test_service_that_stays_away_is_given_up(server, workdir):
    server.fail(StatusCode.UNAVAILABLE, "GetQueuedResource", times=1000)
    with pytest.raises(UserError, match=r"no good answer .*run the same command again"):
        connect(server, workdir, patience=0.5).state("imdb")


def test_suspended_resource_is_made_anew_when_the_old_one_is_gone(workdir, cloud):
    with TpuServer(looks_to_delete=1) as server:
        job = make_job(workdir)
        remote, _ = submit(server, job)
        server.move("imdb", "SUSPENDED")
        state = remote.state("imdb")
        assert (state.text, state.over) == ("SUSPENDED", False)
        assert "submit it again" in state.detail
        remote.recreate(job, tpu_vm.request(job, tpu_vm.Options(**PLAIN)))
        assert remote.state("imdb").text == "WAITING_FOR_RESOURCES"
        assert server.created == 2


def test_resource_that_vanishes_while_it_is_looked_at_is_made_anew(server, workdir):
    job = make_job(workdir)
    remote, _ = submit(server, job)
    server.move("imdb", "DELETING")
    server.fail(StatusCode.ALREADY_EXISTS, "CreateQueuedResource")
    server.resources.clear()
    remote.recreate(job, tpu_vm.request(job, tpu_vm.Options(**PLAIN)))
    assert server.created == 2


def test_server_refuses_a_request_that_lacks_a_required_field(server, workdir):
    job = make_job(workdir)
    request = tpu_vm.request(job, tpu_vm.Options(**PLAIN))
    request.queued_resource.tpu.node_spec[0].node.runtime_version = ""
    with pytest.raises(UserError, match=r"required and missing: .*node\.runtime_version"):
        connect(server).submit(job, request)


if __name__ == "__main__":
    os.environ["GOOGLE_CLOUD_PROJECT"] = "some-project"
    for golden in RENDERED:
        json_text, script_text = rendered(golden)
        (GOLDEN / f"{golden}.json").write_text(json_text)
        (GOLDEN / f"{golden}.sh").write_text(script_text)
