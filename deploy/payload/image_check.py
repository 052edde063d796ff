"""Checks a container image from inside, before it is pushed. Reads no file of longhaul.

    docker run --rm -i IMAGE python - tensorflow==2.21.0 < deploy/payload/image_check.py

The arguments are requirements that the image must have in exactly that version, with the packages
of their extras, and absolute paths of files that it must have. The last line of the output says
what is in the image, or what is wrong with it; then the exit code is 1.
"""

import importlib
import os
import re
import sys
from importlib import metadata
from pathlib import Path

_MODULES = (
    *("tensorflow", "keras", "tensorboard", "tensorflow_datasets"),
    *("google.cloud.storage", "ml_collections", "setuptools"),
)


def main(*wanted: str) -> None:
    """Raises SystemExit with a line for the first thing that is wrong."""
    os.environ["TPU_LOAD_LIBRARY"] = "0"  # the machine that builds an image has no TPU
    if os.getuid() == 0:
        raise SystemExit("error: the image's user is root; the Dockerfile's last USER sets another")
    for item in wanted:
        if item.startswith("/"):
            _check_file(item)
        else:
            _check_requirement(item)
    modules = {name: importlib.import_module(name) for name in _MODULES}
    tf = modules["tensorflow"]
    if (found := tf.reduce_sum(tf.ones([2, 2]) @ tf.ones([2, 2])).numpy()) != 8:
        raise SystemExit(f"error: TensorFlow multiplies matrices wrongly: {found} is not 8")
    python = sys.version.partition(" ")[0]
    print("image is fine: Python", python, *wanted, "user", os.getuid(), flush=True)


def _check_file(path: str) -> None:
    if not Path(path).is_file():
        raise SystemExit(f"error: the image has no file {path}")


def _check_requirement(requirement: str) -> None:
    named, _, version = requirement.partition("==")
    name, _, extra = named.rstrip("]").partition("[")
    if (found := _version(name)) != version:
        raise SystemExit(f"error: the image has {name} {found}, wanted is {version}")
    for needed in metadata.requires(name) or ():
        if extra and f'extra == "{extra}"' in needed.replace("'", '"'):
            _version(re.split(r"[^\w.-]", needed, maxsplit=1)[0])  # the name is in front


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise SystemExit(f"error: the image has no package {name}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
