"""The source text of the product, for the tests that parse it. Nothing here imports the product.

for module, source in SOURCES.items(): ...      # "trainer.main", "import ..."
our_imports("trainer.main")                     # {"storage.store", ...}
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_PRODUCT = {"tests", "benchmarks"}
# The top-level packages.
PACKAGES = sorted(
    file.parent.name for file in ROOT.glob("*/__init__.py") if file.parent.name not in NOT_PRODUCT
)
# The file of each module by its dotted name; that of a package is its __init__.py.
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
SOURCES = {module: path.read_text(encoding="utf-8") for module, path in FILES.items()}


def imports(source: str) -> set[str]:
    """Returns the dotted names that a source imports, wherever the import stands.

    `from a import b` counts as a.b.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names |= {f"{start}.{alias.name}" for alias in node.names}
    return names


def our_imports(module: str) -> set[str]:
    """Returns the modules of the product that a module imports."""
    ours = set()
    for name in imports(SOURCES[module]):
        if name in FILES:
            ours.add(name)
        elif name.rpartition(".")[0] in FILES:  # a function or class of a module
            ours.add(name.rpartition(".")[0])
    return ours
