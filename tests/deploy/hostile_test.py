"""Hostile values for every flag of every target: refused in one line, or carried intact."""

import dataclasses
import json
import shlex
import subprocess

import pytest
import yaml

from configs import sample
from deploy.defaults import Defaults
from deploy.jobs import Attempt, JobPlan, JobTarget
from deploy.targets.target import NAMES, load, make_options, option_flags, options_class
from storage.errors import UserError
from tests.deploy.examples import make_job

pytestmark = pytest.mark.usefixtures("project")

# {} is a file that must not be created.
COMMANDS = ("touch {}", "$(touch {})", "`touch {}`", "${{IFS}}touch${{IFS}}{}")
WRAPS = (
    *("{}", ";{}", "a;{};", "a && {}", "a | {}", "a & {}", "a\n{}\n", "'{}'", "';{};'", '";{};"'),
    *("a' '{}", "\\';{}#"),
)
OTHERS = (
    *("", " ", "a b", "-x", "--help", "a\0b", "a\r\nb: c", "\x1b[31mred", "\u202eabc", "zoné"),
    *("\uff55\uff53", "../../etc/passwd", "/etc/passwd", "gs://", "gs:///x", "a" * 5_000, "%s%n"),
    *("{{7*7}}", "$HOME", "${HOME}", "$(HOME)", "!!", "~root", "*", "?", "a,b=c", "null", "[]"),
    *('{"a": 1}', "- a", "a: b", "&anchor", "!!python/object:os.system", "a\u2028b", "1e999"),
    "true",
)
FLAGS_NEEDED = {"vertex": {"region": "us-central1"}, "tpu_vm": {"zone": "us-west4-a"}, "gke": {}}


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "executed"


def hostile(marker):
    made = [wrap.format(command.format(marker)) for wrap in WRAPS for command in COMMANDS]
    return [*made, *OTHERS]


def job_of(**changes):
    """Returns a job that fits every target."""
    config = sample.get_config()
    config.data.width_step = 64  # few widths, for a TPU
    return make_job(config=config, **changes)


def text_flags():
    """Yields the target and the name of each flag that takes a text."""
    texts = {flag.name for flag in option_flags() if flag.kind is str}
    for target in FLAGS_NEEDED:
        for field in dataclasses.fields(options_class(target)):
            if field.name in texts:
                yield target, field.name


def run_by_hand(command, marker, tmp_path):
    """Runs a command in a shell; returns the arguments that its program gets."""
    stub = tmp_path / "bin"
    stub.mkdir(exist_ok=True)
    for name in ("gcloud", "kubectl", "python"):
        script = stub / name
        script.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
        script.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env={"PATH": f"{stub}:/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not marker.exists()
    return done.stdout.split("\0")


def test_there_are_at_least_fifty_values(marker):
    assert len(set(hostile(marker))) >= 50


@pytest.mark.parametrize(("target", "flag"), text_flags())
def test_flag_of_a_target_is_refused_or_carried_intact(target, flag, marker):
    for value in hostile(marker):
        given = {**FLAGS_NEEDED[target], flag: value}
        try:
            (options,) = make_options(target, given)
            rendered = load(target).render(load(target).request(job_of(), options))
        except UserError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 1000
        else:
            # Only '' or a text without anything special to a shell is accepted.
            assert value == "" or shlex.quote(value) == value
            assert rendered.isascii()
    assert not marker.exists()


@pytest.mark.parametrize("field", ["name", "workdir"])
def test_name_and_workdir_are_refused_in_one_line(field, marker):
    for value in hostile(marker):
        if value in ("null", "true") and field == "name":  # a possible name
            continue
        with pytest.raises(UserError, match=rf"^--{field}: got ") as raised:
            make_job(**{field: value})
        assert str(raised.value).isprintable()


def arguments_of_vertex(rendered):
    pool = json.loads(rendered)["customJob"]["jobSpec"]["workerPoolSpecs"][0]
    return pool["containerSpec"]["args"]


def arguments_of_gke(rendered):
    job = yaml.safe_load(rendered)["spec"]["replicatedJobs"][0]["template"]["spec"]
    (container,) = job["template"]["spec"]["containers"]
    return [argument.replace("$$", "$") for argument in container["command"]]  # as Kubernetes does


def arguments_of_tpu_vm(rendered):
    (spec,) = json.loads(rendered)["queuedResource"]["tpu"]["nodeSpec"]
    header, _, _ = spec["node"]["metadata"]["startup-script"].partition("# What a TPU VM runs")
    show = 'printf "%s\\0" "${ARGUMENTS[@]}"'
    done = subprocess.run(["bash", "-c", header + show], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")


ARGUMENTS = {"vertex": arguments_of_vertex, "gke": arguments_of_gke, "tpu_vm": arguments_of_tpu_vm}


def test_every_target_on_other_machines_is_tested():
    assert {name for name in NAMES if isinstance(load(name), JobTarget)} == ARGUMENTS.keys()
    assert FLAGS_NEEDED.keys() == ARGUMENTS.keys()


@pytest.mark.parametrize("target", ARGUMENTS)
def test_trainer_flag_is_refused_or_arrives_intact(target, marker):
    (options,) = make_options(target, FLAGS_NEEDED[target])
    intact = 0
    for value in hostile(marker):
        argument = f"--config.data.dir={value}"
        try:
            job = job_of(arguments=("--config=configs/sample.py", argument))
        except UserError as error:
            assert str(error).isprintable()
            continue
        rendered = load(target).render(load(target).request(job, options))
        assert argument in ARGUMENTS[target](rendered)
        intact += 1
    assert intact > 50
    assert not marker.exists()


@pytest.mark.parametrize("target", ARGUMENTS)
def test_printed_command_executes_nothing_but_itself(target, marker, tmp_path):
    (options,) = make_options(target, FLAGS_NEEDED[target])
    values = [value for value in hostile(marker) if value.isprintable() and len(value) < 1000]
    for value in values[::7]:
        job = job_of(arguments=("--config=configs/sample.py", f"--config.data.dir={value}"))
        run_by_hand(load(target).equivalent(job, options), marker, tmp_path)
    plan = JobPlan(load(target), (), job_of(), None, Defaults())
    for line in plan.follow_commands(Attempt(options, None, "")):
        run_by_hand(line, marker, tmp_path)
