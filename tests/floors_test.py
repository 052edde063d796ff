"""Run with `python -m pytest tests/floors_test.py`.

Imports between the folders of the product go down only, and commands start without TensorFlow.
"""

import subprocess
import sys

import pytest

from tests.product import FILES, PACKAGES, ROOT, SOURCES, imports, our_imports

REGISTRY = "input_pipeline.sources.registry"
GROUND = {"storage", "configs", "input_pipeline"}
# What the modules of a folder may import of the product, apart from each other: folders, or single
# modules. From the ground up; "trainer" stands for its own modules, main and __main__.
MAY_IMPORT = {
    "storage": set(),
    "input_pipeline": {"storage"},
    "configs": {"storage", REGISTRY},
    "deploy": {"storage", "configs", REGISTRY},
    "trainer.model": set(),
    "trainer.machines": GROUND,
    "trainer.learning": GROUND | {"trainer.model", "trainer.machines"},
    "trainer.run": GROUND | {"trainer.model", "trainer.machines", "trainer.learning"},
    "trainer.pages": GROUND | {"trainer.learning", "trainer.run"},
    "trainer.serving": GROUND
    | {f"trainer.{room}" for room in ("machines", "learning", "run", "pages")},
    "trainer.modes": GROUND
    | {f"trainer.{room}" for room in ("model", "machines", "learning", "run", "pages", "serving")},
    "trainer.tpu_check": GROUND
    | {"trainer.model", "trainer.machines", "trainer.learning", "trainer.run"},
    "trainer.sweep": GROUND | {"trainer.machines", "trainer.run", "trainer.pages"},
    "trainer": GROUND | {"trainer.machines", "trainer.modes", "trainer.run"},
}
CONFIG_FILES = {m for m in FILES if m.startswith("configs.") and m.count(".") == 1}
CONFIG_FILES -= {"configs.schema"}
FLAG_USERS = {
    "configs.schema.command_line",
    "deploy.submit.main",
    "trainer.main",
    "trainer.sweep.main",
    "trainer.tpu_check.__main__",
}
# What a command imports before it knows that its flags are right.
BEFORE_TENSORFLOW = {
    "python -m trainer": ["trainer.main", "trainer.machines.preemption"],
    "python -m deploy.submit": [m for m in FILES if m.partition(".")[0] == "deploy"],
    "python -m trainer --mode=report": ["trainer.modes.report"],
    "python -m trainer.sweep": [m for m in FILES if m.startswith("trainer.sweep.")],
    "configs": [m for m in FILES if m.partition(".")[0] == "configs"],
    "storage": [m for m in FILES if m.partition(".")[0] == "storage"],
    "the sources' registry": [REGISTRY],
}
SLOW = ("tensorflow", "keras", "tensorflow_datasets")


def folder_of(module):
    """Returns the folder of MAY_IMPORT that a module is in."""
    above = [folder for folder in MAY_IMPORT if f"{module}.".startswith(f"{folder}.")]
    return max(above, key=len)


def test_the_product_is_found():
    assert {"configs", "input_pipeline", "storage", "trainer"} <= set(PACKAGES)
    needed = {"trainer.machines.preemption", "storage.store", "configs.schema.rules"}
    assert our_imports("trainer.main") >= needed


def test_every_folder_has_a_floor():
    rooms = {f"trainer.{file.parent.name}" for file in ROOT.glob("trainer/*/__init__.py")}
    assert {*PACKAGES, *rooms} == MAY_IMPORT.keys()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_folder_imports_only_the_floors_below(folder):
    accepted = MAY_IMPORT[folder] | {folder}
    wrong = [
        f"{module} imports {name}"
        for module in FILES
        if folder_of(module) == folder
        for name in sorted(our_imports(module))
        if folder_of(name) not in accepted and name not in accepted
    ]
    assert not wrong


def test_only_the_registry_of_the_input_pipeline_is_open_to_configs_and_deploy():
    assert our_imports("configs.schema.rules") >= {REGISTRY}
    assert not {
        name
        for name in our_imports(REGISTRY)
        if not name.startswith(("storage.", "input_pipeline."))
    }


@pytest.mark.parametrize("module", sorted(CONFIG_FILES))
def test_config_file_holds_data_only(module):
    accepted = {"ml_collections"} | CONFIG_FILES - {module}
    assert imports(SOURCES[module]) <= accepted


def test_flags_are_for_the_command_line_only():
    users = {
        module
        for module, source in SOURCES.items()
        for name in imports(source)
        if name.startswith(("absl.flags", "ml_collections.config_flags"))
    }
    assert users <= FLAG_USERS


def test_nothing_is_imported_relative_to_its_place():
    for module, source in SOURCES.items():
        assert not [name for name in imports(source) if name.startswith(".")], module


def test_no_imports_go_in_a_circle():
    left = {module: our_imports(module) - {module} for module in FILES}
    while grounded := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in grounded}
    assert not left


@pytest.mark.parametrize("package", [m for m in FILES if FILES[m].name == "__init__.py"])
def test_package_init_imports_nothing(package):
    assert not imports(SOURCES[package])


@pytest.mark.parametrize("command", BEFORE_TENSORFLOW)
def test_flags_are_checked_before_tensorflow_is_imported(command):
    code = "import importlib, sys\n"
    code += f"for name in {BEFORE_TENSORFLOW[command]}: importlib.import_module(name)\n"
    code += f"print(*sorted(sys.modules.keys() & {set(SLOW)}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
