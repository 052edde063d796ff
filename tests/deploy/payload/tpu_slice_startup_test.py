"""The start-up script as the machines of a TPU slice run it, with a stand-in for the trainer.

The two machines are at two loopback addresses.
"""

import socket

import pytest

from tests.deploy.payload.tpu_machine import Machine, make_tpu_job

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def slice_of_two(tmp_path, google):
    """Returns two machines that know each other's addresses."""
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    machines = []
    for number in range(2):
        folder = tmp_path / f"machine-{number}"
        folder.mkdir()
        machines.append(Machine(folder, google, {"accelerator_type": "v5litepod-16"}))
        machines[-1].join_slice(number, "worker:8470:127.0.0.2,worker:8470:127.0.0.3", port)
    machines[1].order = machines[0].order
    machines[1].environment["ORDER"] = str(machines[0].order)
    return machines


def test_slice_runs_the_job_on_its_first_machine_when_all_serve(slice_of_two):
    first, second = slice_of_two
    job = make_tpu_job()
    first.codes.write_text("75\n0\n")
    one = first.boot(job)
    two = second.boot(job)
    assert one.wait(timeout=60) == 0

    addresses = [
        f"{m.environment['ADDRESS']}:{m.environment['LONGHAUL_PORT']}" for m in slice_of_two
    ]
    tpu = [
        "--config.strategy.accelerators=16",
        "--config.strategy.name=tpu",
        f"--config.strategy.tpu=grpc://{',grpc://'.join(addresses)}",
    ]
    started = ["bootstrap.py", job.archive_url, job.digest, *job.arguments, *tpu]
    assert first.starts.read_text().split("\0")[:-1] == started * 2
    assert not second.starts.exists()
    # The servers have the chips: they load libtpu's plug-in, and the job does not.
    server = "server tensorflow.python.tools.grpc_tpu_worker true /packages/libtpu/libtpu.so "
    assert first.order.read_text().splitlines() == [server, server, "job   0", "job   0"]
    assert first.uploaded(job, "exit") == "0\n"
    assert len(first.google.deletions) == 1

    two.terminate()  # as a machine is that is deleted
    assert two.wait(timeout=60) == 75
    host, port = addresses[1].split(":")
    socket.create_connection((host, int(port))).close()  # the first may need it until it ends
    assert "machine 1 of 2" in second.uploaded(job, "1.log")
    assert len(first.google.deletions) == 1


def test_machine_of_a_slice_deletes_it_when_the_first_has_not(slice_of_two):
    job = make_tpu_job()
    for machine in slice_of_two:
        (machine.folder / "home").mkdir()
        (machine.folder / "home" / "began").write_text("1000\n")
    second = slice_of_two[1].boot(job)
    assert second.wait(timeout=60) == 124
    assert slice_of_two[1].uploaded(job, "exit") == "124\n"
    assert len(slice_of_two[1].google.deletions) == 1


def test_slice_whose_servers_can_not_be_reached_is_deleted(slice_of_two):
    first, job = slice_of_two[0], make_tpu_job()
    first.environment["LONGHAUL_SECONDS_TO_CONNECT"] = "1"
    process = first.boot(job)
    assert process.wait(timeout=60) == 69
    log = first.uploaded(job, "log")
    assert "waiting for the server at 127.0.0.3:" in log
    assert "see its log and the network's firewall" in log
    assert not first.starts.exists()
    assert len(first.google.deletions) == 1


def test_first_exit_code_of_a_job_is_kept(slice_of_two):
    job = make_tpu_job()
    first, second = slice_of_two
    first.google.bucket.put("bucket", "runs/imdb/logs/imdb.exit", b"0\n")
    (second.folder / "home").mkdir()
    (second.folder / "home" / "began").write_text("1000\n")
    process = second.boot(job)
    assert process.wait(timeout=60) == 124
    assert first.uploaded(job, "exit") == "0\n"


@pytest.mark.parametrize("endpoints", ["", "a:b:10.0.0.1;touch x", "a:b:$(touch x)", "10.0.0.1"])
def test_slice_with_unexpected_metadata_is_deleted(slice_of_two, endpoints):
    job, machine = make_tpu_job(), slice_of_two[0]
    path = f"/{machine.folder.name}/attributes/worker-network-endpoints"
    machine.google.metadata[path] = endpoints
    process = machine.boot(job)
    assert process.wait(timeout=60) == 1
    assert "unexpected metadata of a slice" in machine.uploaded(job, "unknown.log")
    assert len(machine.google.deletions) == 1
    assert not (machine.folder / "home" / "x").exists()
