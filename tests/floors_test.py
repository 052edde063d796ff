"""Run with `python -m pytest tests/floors_test.py`.

Imports go down only, and a few habits stay out of the product. Nothing is imported here: the
sources are parsed.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOT_PRODUCT = {"tests", "benchmarks"}
PACKAGES = sorted(
    folder.parent.name
    for folder in ROOT.glob("*/__init__.py")
    if folder.parent.name not in NOT_PRODUCT
)
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
SOURCES = {module: path.read_text(encoding="utf-8") for module, path in FILES.items()}

CONFIG_CODE = {"configs.validate", "configs.command_line"}
CONFIG_FILES = [m for m in FILES if m.startswith("configs.") and m not in CONFIG_CODE]
FLAG_USERS = {"trainer.main", "trainer.__main__", "configs.command_line"}
FLAG_USERS |= {"deploy.submit", "trainer.tpu_check"}

# What runs before TensorFlow is there.
START = {"trainer.main", "trainer.preemption"}

# The floors of trainer, from the ground up; a module may import its own floor and those below.
LEAVES = {
    *("model", "recurrent", "dropout", "train_state", "optimizers", "losses", "metrics"),
    "schedule",
    *(
        "strategy",
        "metric_writers",
        "hooks",
        "quiet",
        "preemption",
        "cluster",
        "workers",
        "lost_machines",
    ),
    *("tpu_hlo", "tpu_costs", "tpu_bundles", "tpu_compiler"),
}
MOVING_PARTS = {"steps", "checkpoints", "saver", "scorer"}
JOBS = {"prepare", "tpu_compile", "train", "evaluate", "predict"}
TRAINER_FLOORS = (
    LEAVES,
    MOVING_PARTS,
    {"build"},
    {"run"},
    JOBS,
    {"main", "tpu_check"},
    {"__main__"},
)


def imports(source, top_level_only=False):
    """Dotted names that a source imports; `from a import b` counts as a.b, ours or not."""
    tree = ast.parse(source)
    nodes = tree.body if top_level_only else ast.walk(tree)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names |= {f"{start}.{alias.name}" for alias in node.names}
    return names


def our_imports(module):
    """Modules of ours that a module imports, wherever in it the import stands."""
    ours = set()
    for name in imports(SOURCES[module]):
        if name in FILES:
            ours.add(name)
        elif name.rpartition(".")[0] in FILES:  # a function or class of a module
            ours.add(name.rpartition(".")[0])
    return ours


def packages_of(names):
    return {name.partition(".")[0] for name in names}


def calls(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def is_config(node):
    """True for `config`, `run.config.train` and the like."""
    while isinstance(node, ast.Attribute):
        if node.attr == "config":
            return True
        node = node.value
    return isinstance(node, ast.Name) and node.id == "config"


def config_defaults(tree, _):
    for call in calls(tree):
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        match call.func:
            case ast.Attribute(value=asked, attr="get"):
                given.insert(0, asked)
            case ast.Name(id="getattr"):
                pass
            case _:
                continue
        if is_config(given[0]) and len(given) > 2:
            yield call


def bare_asserts(tree, _):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Assert))


def uncommented_catch_alls(tree, lines):
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = "" if node.type is None else ast.unparse(node.type)
            catches_all = not caught or {"Exception", "BaseException"} & set(
                caught.strip("()").split(", ")
            )
            if catches_all and not lines[node.lineno - 2].lstrip().startswith("#"):
                yield node


def pickles(tree, _):
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield from [] if ast.unparse(node.value) == "False" else [node.value]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from [node for name in imports(ast.unparse(node)) if "pickle" in name]


def shells(tree, _):
    for call in calls(tree):
        if any(k.arg == "shell" and ast.unparse(k.value) != "False" for k in call.keywords):
            yield call


# Habit -> (what finds it, a source that has it, a source that is fine).
HABITS = {
    "a default for a config field": (
        config_defaults,
        "a = run.config.train.get('epochs', 3)",
        "a = counts.get('word', 0)",
    ),
    "a config field by getattr": (
        config_defaults,
        "a = getattr(config, 'seed', 0)",
        "a = getattr(features, 'classes', 2)",
    ),
    "an assert": (bare_asserts, "assert a", "if not a:\n    raise ValueError"),
    "an uncommented catch-all": (
        uncommented_catch_alls,
        "try:\n    a()\nexcept Exception:\n    b()",
        "try:\n    a()\n# What it raises is documented nowhere.\nexcept Exception:\n    b()",
    ),
    "a bare except": (
        uncommented_catch_alls,
        "try:\n    a()\nexcept:\n    b()",
        "try:\n    a()\nexcept (OSError, KeyError):\n    b()",
    ),
    "pickle": (pickles, "from pickle import load", "import json"),
    "pickle in NumPy": (
        pickles,
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=False)",
    ),
    "a shell": (shells, "run('ls', shell=True)", "run(['ls'])"),
}


def found(habit, source):
    finder = HABITS[habit][0]
    return [node.lineno for node in finder(ast.parse(source), source.splitlines())]


def test_the_product_is_found():
    assert {"configs", "input_pipeline", "storage", "trainer"} <= set(PACKAGES)
    assert our_imports("trainer.main") >= {"trainer.build", "storage.store", "configs.validate"}


@pytest.mark.parametrize(
    ("package", "accepted"),
    [
        ("storage", {"storage"}),
        ("configs", {"configs", "storage"}),
        ("input_pipeline", {"input_pipeline", "storage"}),
        ("deploy", {"deploy", "configs", "storage"}),
    ],
)
def test_package_imports_only_the_floors_below(package, accepted):
    for module in FILES:
        if packages_of([module]) == {package}:
            assert packages_of(our_imports(module)) <= accepted, module


@pytest.mark.parametrize("module", CONFIG_FILES)
def test_config_file_holds_data_only(module):
    accepted = {"ml_collections", "configs.default"} - {module}
    assert imports(SOURCES[module]) <= accepted


def test_flags_are_for_the_command_line_only():
    users = {
        module
        for module, source in SOURCES.items()
        for name in imports(source)
        if name.startswith(("absl.flags", "ml_collections.config_flags"))
    }
    assert users <= FLAG_USERS


def test_trainer_imports_its_own_floor_and_below():
    below = set()
    for floor in TRAINER_FLOORS:
        below |= {f"trainer.{name}" for name in floor}
        for module in (f"trainer.{name}" for name in sorted(floor)):
            ours = {name for name in our_imports(module) if name.startswith("trainer.")}
            assert ours <= below, module


def test_every_module_of_trainer_has_a_floor():
    known = {f"trainer.{name}" for floor in TRAINER_FLOORS for name in floor}
    assert {m for m in FILES if m.startswith("trainer.")} == known


def test_nothing_is_imported_relative_to_its_place():
    for module, source in SOURCES.items():
        assert not [name for name in imports(source) if name.startswith(".")], module


def test_no_imports_go_in_a_circle():
    left = {module: our_imports(module) - {module} for module in FILES}
    while grounded := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in grounded}
    assert not left


@pytest.mark.parametrize("package", PACKAGES)
def test_package_init_imports_nothing(package):
    assert not imports(SOURCES[package])


def test_flags_and_configs_do_not_wait_for_tensorflow():
    for module, source in SOURCES.items():
        if packages_of([module]) <= {"configs", "deploy", "storage"} or module in START:
            slow = {"tensorflow", "tensorflow_datasets", "keras", "trainer", "input_pipeline"}
            names = imports(source, top_level_only=True)
            # What waits for a signal has to do so from the start, and imports little itself.
            names = {name for name in names if not name.startswith("trainer.preemption.")}
            assert not packages_of(names) & slow, module


@pytest.mark.parametrize("habit", HABITS)
def test_product_is_free_of(habit):
    places = [f"{FILES[m]}:{line}" for m in FILES for line in found(habit, SOURCES[m])]
    assert not places


@pytest.mark.parametrize("habit", HABITS)
def test_habit_would_be_found(habit):
    _, bad, good = HABITS[habit]
    assert found(habit, bad)
    assert not found(habit, good)
