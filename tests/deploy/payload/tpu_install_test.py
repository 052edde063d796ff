"""How a TPU VM installs the job's packages, with stand-ins for what Debian and PyPI have."""

import ensurepip
import zipfile
from pathlib import Path

import pytest

from deploy.targets.tpu_vm import startup_script
from tests.deploy.payload.tpu_machine import Machine, make_tpu_job, run

pytestmark = pytest.mark.usefixtures("project")

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 815 (apt-get)"
# Has venv once Debian's package is installed. The environment's Python is $ENVIRONMENT_PYTHON.
PYTHON = r"""#!/bin/bash
[[ -e $DEBIAN ]] || { echo 'no ensurepip'; exit 1; }
mkdir -p "${*: -1}/bin"
ln -sf "$ENVIRONMENT_PYTHON" "${*: -1}/bin/python"
"""
# Is locked as often as $LOCKS has lines.
APT = rf"""#!/bin/bash
echo "$*" >>"$CALLS"
if [[ -s $LOCKS && $* == *update ]]; then
  sed -i 1d "$LOCKS"
  echo '{LOCKED}' >&2
  exit 100
fi
[[ $* == *update ]] || touch "$DEBIAN"
"""
# The environment's Python: installs nothing and runs no job.
ENVIRONMENT_PYTHON = '#!/bin/bash\necho "python $*" >>"$CALLS"\n'


@pytest.fixture
def machine(tmp_path, google):
    """Returns a machine that has to install; `locks` is how often apt's lists are locked."""
    machine = Machine(tmp_path, google)
    del machine.environment["LONGHAUL_PYTHON"]
    machine.environment |= {
        "DEBIAN": str(tmp_path / "debian"),
        "LOCKS": str(tmp_path / "locks"),
        "ENVIRONMENT_PYTHON": str(machine.add_program("environment-python", ENVIRONMENT_PYTHON)),
    }
    return machine


def use_debian(machine, locks):
    machine.add_program("python3", PYTHON)
    machine.add_program("apt-get", APT)
    (machine.folder / "locks").write_text("locked\n" * locks)


def test_lock_of_apt_lists_is_waited_for(machine):
    use_debian(machine, locks=7)
    job = make_tpu_job()
    assert run(machine, job, []) == 0
    calls = machine.calls.read_text().splitlines()
    assert len([call for call in calls if call.endswith("update")]) == 8
    assert len([call for call in calls if call.endswith("install python3-venv")]) == 1
    (pip,) = (call for call in calls if call.startswith("python -m pip install"))
    assert pip.endswith(" ".join(startup_script.requirements()))
    assert machine.uploaded(job, "log").count(LOCKED) == 7


def test_installation_ends_with_the_time_of_the_job(machine):
    use_debian(machine, locks=9)
    home = machine.folder / "home"
    home.mkdir()
    (home / "began").write_text("1000\n")
    job = make_tpu_job()
    assert run(machine, job, []) == 124
    assert machine.uploaded(job, "exit") == "124\n"
    assert len(machine.google.deletions) == 1


def test_next_boot_does_not_install_again(machine):
    use_debian(machine, locks=0)
    run(machine, make_tpu_job(), [])
    (machine.folder / "home" / "exit").unlink()
    run(machine, make_tpu_job(), [])
    assert machine.calls.read_text().count("python -m pip install") == 1


def put_wheels(google, folder, packages):
    """Puts pip's own wheel, and an empty wheel of each package, into the bucket."""
    (pip,) = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    google.bucket.put("bucket", f"wheels/{pip.name}", pip.read_bytes())
    for requirement in packages:
        name, _, version = requirement.partition("==")
        stem = f"{name.replace('-', '_')}-{version}"
        files = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for file, text in files.items():
                wheel.writestr(f"{stem}.dist-info/{file}", text)
        google.bucket.put("bucket", f"wheels/{path.name}", path.read_bytes())


def test_machine_installs_from_the_wheels_of_a_bucket_alone(machine, tmp_path, monkeypatch):
    few = ["absl-py==2.5.1", "tensorflow-tpu==2.20.0"]
    monkeypatch.setattr(startup_script, "requirements", lambda: few)
    put_wheels(machine.google, tmp_path, few)
    machine.options["wheels"] = "gs://bucket/wheels"
    machine.add_program("apt-get", '#!/bin/bash\necho "apt-get $*" >>"$CALLS"\n')
    job = make_tpu_job()
    # The empty packages have no google.cloud.storage, which the bootstrap imports.
    assert run(machine, job, []) == 1
    assert "No module named 'google" in machine.uploaded(job, "log")
    environment = machine.folder / "home" / "environment"
    installed = list(environment.glob("lib/python*/site-packages/*.dist-info"))
    assert len(installed) == len(few) + 1  # and pip, for the job's own archive
    assert not machine.calls.exists()


def test_folder_without_pip_is_an_error_in_one_line(machine):
    machine.options["wheels"] = "gs://bucket/nothing"
    job = make_tpu_job()
    assert run(machine, job, []) == 1
    assert "no pip-*.whl in gs://bucket/nothing" in machine.uploaded(job, "log")
    assert len(machine.google.deletions) == 1
