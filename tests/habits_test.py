"""Run with `python -m pytest tests/habits_test.py`.

Habits that stay out of the product, and limits to its size. The sources are parsed, not imported.
"""

import ast

import pytest

from tests.product import FILES, SOURCES, imports

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 60


def calls(tree):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def is_config(node):
    """Returns True for `config`, `run.config.train` and the like."""
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


@pytest.mark.parametrize("habit", HABITS)
def test_product_is_free_of(habit):
    places = [f"{FILES[m]}:{line}" for m in FILES for line in found(habit, SOURCES[m])]
    assert not places


@pytest.mark.parametrize("habit", HABITS)
def test_habit_would_be_found(habit):
    _, bad, good = HABITS[habit]
    assert found(habit, bad)
    assert not found(habit, good)


def test_no_file_is_too_long():
    lines = {module: len(source.splitlines()) for module, source in SOURCES.items()}
    assert not {m: count for m, count in lines.items() if count > MOST_LINES_OF_A_FILE}


def test_no_function_is_too_long():
    long = [
        f"{FILES[module]}:{node.lineno} {node.name}"
        for module, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert not long
