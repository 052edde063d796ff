"""The commands that fill the bucket's folder from which machines without PyPI install.

print(fill_command("gs://bucket/wheels"))
"""

import shlex

from deploy.targets.tpu_vm.startup_script import REQUIREMENTS, requirements

_FOLDER = "wheels"  # on the user's machine
_ONLY_SOURCE = "promise"  # a package that PyPI has no wheel of
# The platforms whose wheels the machine's image, Ubuntu 22.04 with Python 3.10, can install.
_PLATFORMS = ("_2_31", "_2_28", "_2_27", "_2_17", "2014")


def fill_command(url: str) -> str:
    """Returns shell commands that download all packages, and pip itself, and copy them to `url`.

    They run in the checkout, on any machine with Python, pip and gcloud.
    """
    (source,) = (line for line in requirements() if line.startswith(f"{_ONLY_SOURCE}=="))
    pip = ("python", "-m", "pip")
    build = [*pip, "wheel", "--no-deps", f"--wheel-dir={_FOLDER}", source]
    download = [
        *(*pip, "download", "--no-deps", "--only-binary=:all:"),
        *(f"--find-links={_FOLDER}", f"--dest={_FOLDER}"),
        *("--python-version=3.10", "--implementation=cp"),
        *(f"--platform=manylinux{version}_x86_64" for version in _PLATFORMS),
        *(f"--requirement=deploy/payload/{REQUIREMENTS.name}", "pip"),
    ]
    copy = ["gcloud", "storage", "cp", f"{_FOLDER}/*.whl", f"{url}/"]  # gcloud itself expands the *
    return " && ".join(shlex.join(command) for command in (build, download, copy))
