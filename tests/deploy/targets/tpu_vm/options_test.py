"""The flags of --target=tpu_vm."""

import pytest

from storage.errors import UserError
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
        {"service_account": "me"},
        {"max_run_hours": 0},
    ],
)
def test_bad_option_is_refused_in_one_line(bad):
    (flag,) = bad
    with pytest.raises(UserError, match=rf"^--{flag}: got .* accepted is [^\n]+$"):
        make_options(**bad)
