"""The flags of --target=tpu_vm."""

import re

import pytest

from deploy.targets.tpu_vm.options import Options
from storage.errors import UserError
from tests.deploy.examples import refusal
from tests.deploy.targets.tpu_vm.jobs import make_options


@pytest.mark.parametrize(
    "bad",
    [
        {"zone": ""},
        {"zone": "us-west4"},
        {"zone": "us-west4-a\n"},
        {"project": "$(id)"},
        {"accelerator_type": "v5litepod-512"},
        {"accelerator_type": "v5litepod-4;"},
        {"accelerator_type": "v4-8"},
        {"runtime_version": "a b"},
        {"network": "a;b"},
        {"subnetwork": "projects/p/global/networks/n"},
        {"reservation": "a b"},
        {"reservation": "january", "provisioning": "spot"},
        {"provisioning": "cheap"},
        {"wheels": "gs://bucket"},
        {"wheels": "gs://bucket/a b"},
        {"keep_on_failure": -1},
        {"keep_on_failure": 169},
        {"service_account": "me"},
        {"max_run_hours": 0},
    ],
)
def test_bad_option_is_refused_in_one_line(bad):
    flag, *_ = bad
    with pytest.raises(UserError, match=rf"^--{flag}: got .* accepted is [^\n]+$"):
        make_options(**bad)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("v6e-8", "v6e and later have no TensorFlow"),
        ("tpu7x-8", "v6e and later have no TensorFlow"),
        ("v5p-8", "only v5e is prepared"),
        ("v4-32", "only v5e is prepared"),
        ("v3-8", "only v5e is prepared"),
        ("v2-8", "only v5e is prepared"),
        ("v5e-4", "names a v5e v5litepod-CHIPS"),
    ],
)
def test_tpu_that_is_no_v5e_is_refused_with_the_reason(name, reason):
    text = refusal(make_options, accelerator_type=name)
    assert text.startswith(f"--accelerator_type: got '{name}', accepted is v5litepod-1, ")
    assert reason in text


def test_flex_start_is_refused_with_the_reason():
    text = refusal(make_options, provisioning="flex_start")
    assert "only `gcloud alpha` can ask" in text


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("", ""),
        ("january", "projects/some-project/locations/us-west4-a/reservations/january"),
        ("projects/p/locations/us-west4-a/reservations/r",) * 2,
    ],
)
def test_reservation_has_a_full_name(given, full):
    assert make_options(reservation=given).reservation_name == full


def test_full_name_of_a_job_gives_the_options_back():
    options = make_options(zone="us-west4-b")
    found = re.fullmatch(Options.FULL_NAME, f"{options.parent}/queuedResources/imdb").groupdict()
    assert found.pop("name") == "imdb"
    assert make_options(**found) == options


def test_flags_that_take_several_values_exist():
    assert set(Options.ALTERNATIVES) <= set(Options.__dataclass_fields__)
