"""Names of regions and zones."""

import pytest

from deploy.places import check_region, check_zone
from tests.deploy.examples import refusal


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_region, "us-central1"),
        (check_region, "europe-west12"),
        (check_region, "us-west8"),
        (check_zone, "us-west4-a"),
    ],
)
def test_known_place_is_silent(check, value, capsys):
    check("flag", value)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_region, "us-centrall1"),
        (check_region, "moon-north1"),
        (check_zone, "us-west4-c"),
    ],
)
def test_unknown_place_is_a_warning(check, value, capsys):
    check("flag", value)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: --flag: {value} is not among the ")


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (check_region, ""),
        (check_region, "US-CENTRAL1"),
        (check_region, "us-central1-a"),
        (check_region, "us-central1\n"),
        (check_region, "global"),
        (check_zone, "us-west4"),
        (check_zone, "us-west4-a; rm -r /"),
    ],
)
def test_other_text_is_refused(check, value):
    assert refusal(check, "flag", value).startswith("--flag: got ")
