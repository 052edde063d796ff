"""What a job on a TPU VM needs before it starts, and the commands for it."""

import subprocess

import pytest

from deploy.targets.tpu_vm.needs import needs
from tests.deploy.targets.tpu_vm.jobs import make_options, make_tpu_job


def lines(extra=(), **changes):
    return needs(make_tpu_job(extra=extra), make_options(**changes))


def about(words, **changes):
    return [line for line in lines(**changes) if words in line]


def test_quota_is_named_by_its_limit():
    (line,) = about("quota of", provisioning="spot", accelerator_type="v5litepod-16")
    assert "16 TPUV5sPreemptibleLitepodPerProjectPerZoneForTPUAPI in us-west4-a: gcloud" in line
    (line,) = about("quota of")
    assert "or, for up to 8 chips, of TPUV5sLitepodServingPerProjectPerZoneForTPUAPI" in line
    assert not about("quota of", reservation="mine")


def test_account_that_is_given_may_be_acted_as():
    account = "trainer@some-project.iam.gserviceaccount.com"
    (line,) = about("your right to let jobs run as", service_account=account)
    assert "--role=roles/iam.serviceAccountUser" in line
    assert not about("your right to let jobs run as")


def test_machines_without_external_addresses_need_another_way_to_packages():
    assert not about("Private Google Access")
    assert about("Private Google Access", external_ips=False)
    assert about("Cloud NAT", external_ips=False)
    wheels = {"external_ips": False, "wheels": "gs://bucket/wheels"}
    assert not about("Cloud NAT", **wheels)
    assert about("the packages' wheels: python -m pip wheel", **wheels)
    assert not about("may read", **wheels)
    assert about("may read gs://other too", external_ips=False, wheels="gs://other/wheels")


def test_slice_needs_ports_between_its_machines():
    assert about("opens ports 8470 and 8476", accelerator_type="v5litepod-16")
    assert not about("opens ports")


@pytest.mark.parametrize("changes", [{}, {"external_ips": False, "wheels": "gs://other/wheels"}])
def test_commands_are_ones_that_a_shell_can_read(changes):
    for line in lines(**changes):
        command = line.partition(": ")[2]
        subprocess.run(["bash", "-n", "-c", command], check=True)
