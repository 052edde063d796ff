"""Run with `python -m pytest tests/deploy/gke_test.py`.

`python -m tests.deploy.gke_test` writes the golden files anew.
"""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from configs import imdb
from deploy.job import Job
from deploy.targets.gke import options
from deploy.targets.gke import target as gke
from storage.errors import UserError
from trainer.machines import cluster

HERE = Path(__file__).parent
SCHEMA = json.loads((HERE / "jobset_schema.json").read_text(encoding="utf-8"))
DEPLOY = Path(gke.__file__).parent
BOOTSTRAP = (DEPLOY / "bootstrap.py").read_text(encoding="utf-8")
PROJECT = {"project": "my-project"}
# Name of the golden file -> the flags.
GOLDEN = {
    "one_gpu": {},
    "four_gpus": {"accelerators": 4, "accelerator": "nvidia-tesla-t4", "cpu": "12"},
    "three_workers": {"workers": 3, "spot": True, "queue": "lstm", "service_account": "trainer"},
    "tpu_slice": {"tpu_topology": "2x2", "namespace": "research", "image": "pkg/tpu:1"},
    "tpu_slice_of_four_pods": {"tpu_topology": "4x4", "spot": True},
    "no_accelerator": {"accelerator": "", "cpu": "500m", "max_restarts": 0, "max_run_hours": 1},
}
# What must arrive as it is, though a shell, YAML or Kubernetes would read something else in it.
HOSTILE = (
    "--config.data.source=files:/a b;$(touch X)`touch Y`'\"\\",
    "--config.data.source=$(HOME) $$(HOME) $HOME ${HOME} $$ $",
    "--config.data.dir=${{x}} {{ y }} %s <!-- & | > # : - *a &b !!python/object:os.system",
    "--config.data.dir=ünïcode 字 \N{GRINNING FACE}",
    "--config.data.dir=" + "x" * 9000,
    *("y", "on", "null", "~", "1e3", "0o17", "12:30:00", "", " ", "- a", "a: b", "@", "---"),
)


def job(arguments=("--config=configs/imdb.py",), strategy="auto", source="sample"):
    config = imdb.get_config()
    config.strategy.name = strategy
    config.data.source = source
    config.train.batch_size = config.evaluation.batch_size = 48  # for 1, 3, 4, 16 replicas
    workdir = "gs://bucket/runs/imdb"
    arguments = (*arguments, f"--workdir={workdir}")
    return Job("imdb-1", arguments, workdir, "gs://bucket/longhaul/a.tar.gz", "0f" * 32, config)


def manifest(flags, **of_job):
    return gke.request(job(**of_job), gke.Options(**{**PROJECT, **flags}))


def container(jobset):
    job_spec = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    return job_spec["template"]["spec"]["containers"][0]


def golden(flags):
    jobset = manifest(flags)
    # They are tested by themselves, and long.
    command = container(jobset)["command"]
    for name in ("bootstrap", "gke_worker", "gke_slice"):
        text = (DEPLOY / f"{name}.py").read_text(encoding="utf-8").replace("$", "$$")
        if text in command:
            command[command.index(text)] = f"(the text of deploy/{name}.py)"
    return gke.render(jobset)


def as_kubernetes(text, variables):
    """An argument of a container as Kubernetes expands it."""

    def replaced(match):
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replaced, text)


def command_of(jobset, variables=None):
    """What a container of the rendered manifest runs, in the end."""
    read = yaml.safe_load(gke.render(jobset))
    variables = variables or {"HOME": "/expanded", "x": "expanded"}
    return [as_kubernetes(argument, variables) for argument in container(read)["command"]]


def complaint(make, *arguments, **flags):
    with pytest.raises(UserError) as caught:
        make(*arguments, **flags)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 300
    return line


@pytest.mark.parametrize("name", GOLDEN)
def test_manifest_is_as_it_was(name):
    path = HERE / "golden" / f"gke_{name}.yaml"
    assert golden(GOLDEN[name]) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOLDEN)
def test_manifest_fits_the_schema_of_jobset(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(manifest(GOLDEN[name]), SCHEMA)


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("spec", "failurePolicy"), {"maxRestart": 3}),
        (("spec", "network"), {"enableDnsHostnames": True}),
        (("spec", "suspend"), "true"),
        (("spec", "replicatedJobs", 0, "template", "spec", "backoffLimit"), "0"),
        (("spec", "replicatedJobs", 0, "template", "spec", "template"), {"nodeselector": {}}),
        (("metadata", "name"), "Imdb"),
    ],
)
def test_the_schema_would_find_a_mistake(place, wrong):
    jobset = copy.deepcopy(manifest({}))
    *path, last = place
    inner = jobset
    for step in path:
        inner = inner[step]
    inner[last] = wrong
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(jobset, SCHEMA)


@pytest.mark.parametrize("name", GOLDEN)
def test_yaml_is_read_as_it_was_meant(name):
    jobset = manifest(GOLDEN[name])
    text = gke.render(jobset)
    assert yaml.safe_load(text) == jobset
    assert gke.render(manifest(GOLDEN[name])) == text
    assert "&id" not in text and text.isascii()


def test_texts_that_some_readers_take_for_other_things_are_quoted():
    words = [word for word in HOSTILE if len(word) < 10]
    for line in gke.render(words).splitlines():
        assert re.fullmatch(r"""- (["']).*\1""", line), line


@pytest.mark.parametrize("workers", [1, 2])
def test_hostile_arguments_arrive_intact(workers):
    jobset = manifest({"workers": workers}, arguments=HOSTILE)
    start = 3 * (workers - 1)  # the launcher's, where there is one
    assert tuple(command_of(jobset)[start:]) == job(HOSTILE).command


def test_nothing_is_executed_on_the_way_to_the_command(tmp_path):
    jobset = manifest({"workers": 2}, arguments=HOSTILE)
    command = command_of(jobset)
    command[command.index(BOOTSTRAP)] = "import json, sys; print(json.dumps(sys.argv[1:]))"
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "JOB_COMPLETION_INDEX": "0",
        **{item["name"]: item["value"] for item in container(jobset)["env"]},
    }
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60)
    assert not run.returncode, run.stderr
    assert tuple(json.loads(run.stdout)) == job(HOSTILE).command[3:]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("index", [0, 2])
def test_a_pod_learns_its_place_from_its_index(index):
    jobset = manifest({"workers": 3})
    launcher = [sys.executable, *command_of(jobset)[1:3]]
    environment = {item["name"]: item["value"] for item in container(jobset)["env"]}
    printed = subprocess.run(
        [*launcher, sys.executable, "-c", "import os; print(os.environ['TF_CONFIG'])"],
        env={**environment, "JOB_COMPLETION_INDEX": str(index)},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.decode()
    here = cluster.parse(printed)
    # JOBSET-REPLICATEDJOB-JOBINDEX-PODINDEX.SUBDOMAIN
    assert here.addresses == tuple(f"imdb-1-worker-0-{i}.imdb-1:2222" for i in range(3))
    assert here.rank == index
    assert here.is_chief == (index == 0)


def test_a_single_pod_has_no_launcher_and_no_cluster():
    assert tuple(command_of(manifest({}))) == job().command
    assert not container(manifest({}))["env"]


def end(jobset, code, taken_away=False):
    """What becomes of a JobSet when a pod ends so: what Kubernetes and JobSet do with the rules."""
    spec = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    reason, message = "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    conditions = [{"type": "DisruptionTarget", "status": "True"}] if taken_away else []
    for index, rule in enumerate(spec["podFailurePolicy"]["rules"]):
        codes = rule.get("onExitCodes", {}).get("values", [])
        if code in codes or any(c in conditions for c in rule.get("onPodConditions", [])):
            reason = "PodFailurePolicy"
            message = f"Pod default/imdb-1 ... matching {rule['action']} rule at index {index}"
            break
    for rule in jobset["spec"]["failurePolicy"]["rules"]:
        patterns = rule.get("onJobFailureMessagePatterns", [""])
        if reason in rule["onJobFailureReasons"] and any(re.search(p, message) for p in patterns):
            return rule["action"]
    return "RestartJobSet"


@pytest.mark.parametrize(
    ("code", "taken_away", "action"),
    [
        (75, False, "RestartJobSetAndIgnoreMaxRestarts"),
        (75, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (137, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (1, True, "RestartJobSetAndIgnoreMaxRestarts"),
        (1, False, "FailJobSet"),
        (137, False, "RestartJobSet"),  # too little memory
        (139, False, "RestartJobSet"),  # a crash
    ],
)
def test_a_pods_end_means(code, taken_away, action):
    assert end(manifest({"workers": 3}), code, taken_away) == action


def test_a_job_that_takes_too_long_is_not_started_again():
    rules = manifest({})["spec"]["failurePolicy"]["rules"]
    assert ["DeadlineExceeded"] in [
        rule["onJobFailureReasons"] for rule in rules if rule["action"] == "FailJobSet"
    ]


@pytest.mark.parametrize("flag", sorted(options.TEXTS))
@pytest.mark.parametrize(
    "value", ["a b", "a;b", "$(touch X)", "a\nb", "a'", '"', "-x", "ünïcode", "x" * 5000, "a\0"]
)
def test_a_bad_text_is_refused_in_one_line(flag, value):
    assert f"--{flag}: got " in complaint(gke.Options, **{flag: value})


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("accelerators", 0),
        ("accelerators", 17),
        ("workers", 0),
        ("workers", 257),
        ("max_restarts", -1),
        ("max_run_hours", 0),
        ("tpu_topology", "4x2"),
        ("tpu_accelerator", "tpu-v2"),
        ("cpu", "0"),
        ("memory", "16GB"),
        ("image", "-"),
        ("namespace", ""),
    ],
)
def test_a_value_out_of_range_is_refused_in_one_line(flag, value):
    line = complaint(gke.Options, **{flag: value})
    assert f"--{flag}: got " in line and "accepted is" in line


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ({"tpu_accelerator": "tpu-v6e-slice"}, "--tpu_topology: missing"),
        ({"tpu_topology": "2x2", "accelerators": 4}, "--accelerators: got 4"),
        (
            {"tpu_topology": "2x2", "accelerator": "nvidia-tesla-t4"},
            "--accelerator: got 'nvidia-te",
        ),
        ({"accelerator": "", "accelerators": 4}, "--accelerators: got 4"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags, line):
    assert complaint(gke.Options, **flags).startswith(line)


def test_options_show_what_they_stand_for():
    options = gke.Options(tpu_topology="2x2")
    assert (options.accelerator, options.accelerators) == ("", 0)
    assert options.tpu_accelerator == "tpu-v5-lite-podslice"


def test_the_pods_of_a_tpu_slice_are_not_chosen():
    assert "--workers: got 2" in complaint(gke.Options, tpu_topology="4x4", workers=2)


@pytest.mark.parametrize(
    ("topology", "pods", "chips"), [("1x1", 1, 1), ("2x4", 1, 8), ("4x4", 4, 4), ("16x16", 64, 4)]
)
def test_a_tpu_slice_has_as_many_pods_as_machines(topology, pods, chips):
    config = job(strategy="tpu")
    config.config.train.batch_size = config.config.evaluation.batch_size = 256
    jobset = gke.request(config, gke.Options(**PROJECT, tpu_topology=topology))
    job_spec = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (job_spec["completions"], job_spec["parallelism"]) == (pods, pods)
    assert container(jobset)["resources"]["limits"] == {"google.com/tpu": chips}
    assert ("successPolicy" in job_spec) == (pods > 1)


@pytest.mark.parametrize(
    ("flags", "strategy"),
    [
        ({"workers": 2}, "mirrored"),
        ({"workers": 2}, "tpu"),
        ({}, "multi_worker"),
        ({}, "tpu"),
        ({"tpu_topology": "2x2"}, "mirrored"),
    ],
)
def test_a_strategy_that_the_pods_cannot_run_is_refused(flags, strategy):
    line = complaint(manifest, flags, strategy=strategy)
    assert "config.strategy.name" in line and "accepted is 'auto'" in line


def test_the_image_is_looked_for_in_the_project_of_the_environment(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other-project")
    jobset = gke.request(job(), gke.Options(region="europe-west4"))
    image = "europe-west4-docker.pkg.dev/other-project/longhaul/longhaul:tf2.21"
    assert container(jobset)["image"] == image


def test_without_image_and_project_it_says_what_to_give(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    assert "--project" in complaint(gke.request, job(), gke.Options())
    assert gke.request(job(), gke.Options(image="pkg/image:1"))


def test_a_bad_project_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p$(touch X)")
    assert "--project: got " in complaint(gke.request, job(), gke.Options())


def test_prerequisites_name_all_that_must_be_there():
    options = gke.Options(**PROJECT, queue="lstm", service_account="trainer", namespace="research")
    arguments = ("--config=configs/imdb.py", "--config.data.source=shards:gs://bucket/a b")
    needed = gke.prerequisites(job(arguments, source="shards:gs://bucket/a b"), options)
    said = "\n".join(needed)
    prepare = (
        "python -m trainer --mode=prepare --config=configs/imdb.py '--workdir=gs://bucket/a b'"
    )
    for words in (
        prepare,
        "docker build --tag=us-central1-docker.pkg.dev/my-project/longhaul/longhaul:tf2.21",
        "jobset/releases",
        "kubectl get localqueue/lstm --namespace=research",
        "my-project.svc.id.goog/subject/ns/research/sa/trainer",
        "gs://bucket ",
    ):
        assert words in said
    assert all(len(line.splitlines()) == 1 for line in needed)


def test_what_is_not_asked_for_is_no_prerequisite():
    said = "\n".join(gke.prerequisites(job(), gke.Options(**PROJECT)))
    assert "prepare" not in said and "kueue" not in said
    assert "tensorflow-tpu" in "".join(
        gke.prerequisites(job(), gke.Options(**PROJECT, tpu_topology="2x2"))
    )


@pytest.mark.parametrize(
    ("verb", "command"),
    [
        ("status", "kubectl get jobset/imdb-1"),
        ("wait", "kubectl wait jobset/imdb-1 '--for=jsonpath={.status.terminalState}'"),
        ("logs", "kubectl logs --selector=jobset.sigs.k8s.io/jobset-name=imdb-1"),
        ("cancel", "kubectl delete jobset/imdb-1"),
    ],
)
def test_kubectl_looks_after_the_job(verb, command):
    said = gke.manage(verb, "imdb-1", gke.Options(namespace="research"))
    assert said.startswith(command) and said.endswith("--namespace=research")


@pytest.mark.parametrize("name", ["--all", "a; touch X", "$(touch X)", "a\nb", "a/b,c"])
def test_a_name_that_no_job_has_is_refused(name):
    assert "name: got " in complaint(gke.manage, "cancel", name, gke.Options())


if __name__ == "__main__":
    for golden_name, golden_flags in GOLDEN.items():
        golden_path = HERE / "golden" / f"gke_{golden_name}.yaml"
        golden_path.write_text(golden(golden_flags), encoding="utf-8")
