"""The container image and the TPU machines: every dependency is pinned, and no code is in it."""

import itertools
import re
import runpy
from collections.abc import Iterable, Mapping

import setuptools
from packaging.requirements import Requirement

from deploy.image import TPU_BUILD, TPU_LIBRARY
from deploy.targets.tpu_vm.startup_script import requirements
from tests.deploy.examples import REPOSITORY


def dockerfile(given: Mapping[str, str] | None = None) -> list[str]:
    """Returns the instructions, each in one line, with the build arguments `given` filled in."""
    text = (REPOSITORY / "deploy" / "payload" / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ")
    arguments = dict(re.findall(r"(?m)^ARG (\w+)=(.*)$", text)) | dict(given or {})
    text = re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], text)
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def pins(words: Iterable[str]) -> dict[str, Requirement]:
    """Returns requirements by their normalized names."""
    found = map(Requirement, words)
    return {requirement.name.replace("_", "-").lower(): requirement for requirement in found}


def check_versions(pinned: dict[str, Requirement], monkeypatch) -> None:
    """Checks that each dependency has a version, and one that setup.py accepts."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", given.update)
    runpy.run_path(str(REPOSITORY / "setup.py"))
    wanted = pins(given["install_requires"])
    if "tensorflow-tpu" in pinned:
        assert "tensorflow" not in pinned
        wanted["tensorflow-tpu"] = wanted.pop("tensorflow")
    for name, requirement in wanted.items():
        (version,) = pinned[name].specifier
        assert requirement.specifier.contains(version.version), requirement
    assert "setuptools" in pinned  # builds the job's code when it is installed


def pins_of_image(arguments=None) -> dict[str, Requirement]:
    words = (
        re.findall(r"[^\s\"=]+==[^\s\"]+", line)
        for line in dockerfile(arguments)
        if line.startswith("RUN")
    )
    return pins(itertools.chain.from_iterable(words))


def test_image_has_every_dependency_in_a_version_that_setup_accepts(monkeypatch):
    pinned = pins_of_image()
    check_versions(pinned, monkeypatch)
    assert pinned["tensorflow"].extras == {"and-cuda"}


def test_tpu_machines_have_every_dependency_in_a_version_that_setup_accepts(monkeypatch):
    on_vm, on_gke = pins(requirements()), pins_of_image(TPU_BUILD)
    check_versions(on_vm, monkeypatch)
    check_versions(on_gke, monkeypatch)
    for name in ("tensorflow-tpu", "libtpu", "tensorboard"):
        assert on_gke[name].specifier == on_vm[name].specifier


def test_image_installs_only_pinned_versions():
    for instruction in dockerfile():
        if command := re.search(r"pip install (.*?)(?: &&|$)", instruction):
            assert all("==" in word for word in command[1].split()), instruction


def test_image_has_no_code_and_does_not_run_as_root():
    names = [instruction.split()[0] for instruction in dockerfile()]
    assert names[0] == "FROM"
    assert not {"COPY", "ADD"} & set(names)
    users = [line.split()[1] for line in dockerfile() if line.startswith("USER")]
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1])
    assert re.fullmatch(r"FROM python:3\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", dockerfile()[0])


def test_largest_layer_of_the_image_comes_first():
    installs = [line for line in dockerfile() if "pip install" in line]
    assert "tensorflow[and-cuda]" in installs[0]
    assert len(installs) > 1


def test_library_of_the_tpu_is_where_the_base_image_has_its_packages():
    python = re.match(r"FROM python:(3\.\d+)", dockerfile()[0])[1]
    assert f"/usr/local/lib/python{python}/site-packages/libtpu/libtpu.so" == TPU_LIBRARY


def test_image_sets_no_variable_that_makes_tensorflow_load_a_tpu():
    # They would also hold for the driver of a slice and for the image's own check.
    assert not re.search("PLUGGABLE|TPU_LIBRARY", " ".join(dockerfile()))
