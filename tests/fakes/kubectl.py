"""A kubectl for tests: a program on PATH that keeps its cluster in a JSON file.

    kubectl = FakeKubectl(folder)
    monkeypatch.setenv("PATH", kubectl.path)
    kubectl.put("pods", pod)
    kubectl.calls()         # the arguments and the standard input of each call

Its errors are worded as kubectl's own.
"""

import contextlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CONTEXT = "gke_my-project_us-central1_research"
JOB_SETS = "jobsets.jobset.x-k8s.io"
WORKLOADS = "workloads.kueue.x-k8s.io"
_KINDS = (JOB_SETS, WORKLOADS, "pods", "events")


class FakeKubectl:
    """The program, and the cluster that it shows."""

    def __init__(self, folder: Path):
        self._file = folder / "cluster.json"
        folder.joinpath("bin").mkdir(parents=True)
        program = folder / "bin" / "kubectl"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {self._file} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
        content = {"contexts": [CONTEXT], "current": CONTEXT, "calls": [], "failures": {}}
        self._write({**content, "logs": [], "kinds": {kind: [] for kind in _KINDS}})

    def calls(self, verb: str = "") -> list[dict[str, Any]]:
        """Returns the calls so far, or those of one verb."""
        return [call for call in self._read()["calls"] if verb in ("", *call["arguments"])]

    def put(self, kind: str, resource: dict[str, Any]) -> None:
        """Adds a resource, or replaces the one of its name."""
        with self._changed() as content:
            _put(content["kinds"][kind], resource)

    def remove(self, kind: str) -> None:
        """Makes the cluster one that does not know a kind."""
        with self._changed() as content:
            del content["kinds"][kind]

    def fail(self, verb: str, message: str) -> None:
        """Makes each call of a verb fail with a message on standard error."""
        with self._changed() as content:
            content["failures"][verb] = message

    def set_current_context(self, context: str) -> None:
        """Changes the current context; "" for none."""
        with self._changed() as content:
            content["current"] = context

    def log(self, pod: str, time: str, text: str) -> None:
        """Adds a line to the log of a pod; a line without a time is kubectl's own."""
        with self._changed() as content:
            content["logs"].append([pod, time, text])

    @contextlib.contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        content = self._read()
        yield content
        self._write(content)

    def _read(self) -> dict[str, Any]:
        return json.loads(self._file.read_text(encoding="utf-8"))

    def _write(self, content: dict[str, Any]) -> None:
        self._file.write_text(json.dumps(content), encoding="utf-8")


def _put(resources: list[dict[str, Any]], resource: dict[str, Any]) -> None:
    name = resource.get("metadata", {}).get("name")
    resources[:] = [r for r in resources if r.get("metadata", {}).get("name") != name]
    resources.append(resource)


def _main(file: str, *arguments: str) -> None:
    path = Path(file)
    content = json.loads(path.read_text(encoding="utf-8"))
    words = [argument for argument in arguments if not argument.startswith("--")]
    flags = dict(argument[2:].split("=", 1) for argument in arguments if "=" in argument)
    stdin = sys.stdin.read() if words[0] == "create" else ""
    content["calls"].append({"arguments": list(arguments), "stdin": stdin})
    try:
        if message := content["failures"].get(words[0]):
            sys.exit(message)
        if "context" in flags and flags["context"] not in content["contexts"]:
            context = flags["context"]
            sys.exit(
                "Error in configuration: context was not found for specified context: " + context
            )
        print(_VERBS[words[0]](content, words[1:], flags, stdin), end="")
    finally:
        path.write_text(json.dumps(content), encoding="utf-8")


def _config(content: dict, words: list[str], flags: dict[str, str], stdin: str) -> str:
    if not content["current"]:
        sys.exit("error: current-context is not set")
    return f"{content['current']}\n"


def _create(content: dict, words: list[str], flags: dict[str, str], stdin: str) -> str:
    resource = yaml.safe_load(stdin)
    name = resource["metadata"]["name"]
    if JOB_SETS not in content["kinds"]:
        sys.exit(
            'error: resource mapping not found for name: "imdb" namespace: "" from "STDIN": no '
            'matches for kind "JobSet" in version "jobset.x-k8s.io/v1alpha2"\n'
            "ensure CRDs are installed first"
        )
    if any(known["metadata"]["name"] == name for known in content["kinds"][JOB_SETS]):
        sys.exit(
            f'Error from server (AlreadyExists): error when creating "STDIN": {JOB_SETS} '
            f'"{name}" already exists'
        )
    resource["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z", "uid": f"uid-{name}"}
    _put(content["kinds"][JOB_SETS], resource)
    return f"jobset.jobset.x-k8s.io/{name} created\n"


def _get(content: dict, words: list[str], flags: dict[str, str], stdin: str) -> str:
    kind, *names = words
    if kind not in content["kinds"]:
        sys.exit(f'error: the server doesn\'t have a resource type "{kind.partition(".")[0]}"')
    found = content["kinds"][kind]
    if names:
        found = [resource for resource in found if resource["metadata"]["name"] == names[0]]
        return json.dumps(found[0]) if found else ""  # as with --ignore-not-found
    if selector := flags.get("selector"):
        key, _, value = selector.partition("=")
        found = [r for r in found if r["metadata"].get("labels", {}).get(key) == value]
    if selector := flags.get("field-selector"):
        key, _, value = selector.partition("=")
        found = [resource for resource in found if resource.get(key) == value]
    return json.dumps({"kind": "List", "items": found})


def _delete(content: dict, words: list[str], flags: dict[str, str], stdin: str) -> str:
    kind, name = words
    kept = [r for r in content["kinds"][kind] if r["metadata"]["name"] != name]
    content["kinds"][kind] = kept
    return f'jobset.jobset.x-k8s.io "{name}" deleted\n'


def _logs(content: dict, words: list[str], flags: dict[str, str], stdin: str) -> str:
    """Prints the log of one pod after the other, as kubectl does."""
    since = flags.get("since-time", "").partition("+")[0]
    lines = [line for line in content["logs"] if not line[1] or line[1] >= since]
    pods = dict.fromkeys(pod for pod, _, _ in lines)
    return "".join(
        f"[pod/{pod}/trainer] {time} {text}\n" if time else f"{text}\n"
        for one in pods
        for pod, time, text in lines
        if pod == one
    )


_VERBS = {"config": _config, "create": _create, "get": _get, "delete": _delete, "logs": _logs}


if __name__ == "__main__":
    _main(*sys.argv[1:])
