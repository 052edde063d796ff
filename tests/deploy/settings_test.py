"""Values of flags from files, and which of several counts."""

import pytest

from deploy import settings
from deploy.defaults import Defaults, Setting
from deploy.targets.local import Options
from storage.errors import UserError
from tests.deploy.examples import refusal


@pytest.fixture
def files(home, tmp_path, monkeypatch):
    """Returns a function that writes the user's file and that of the checkout."""
    monkeypatch.setattr(settings, "_CHECKOUT", tmp_path)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)

    def write(user="", checkout=""):
        for path, text in zip(settings.paths(), (user, checkout), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_no_file_is_no_setting(files):
    assert settings.read("vertex", {}) == Defaults()


def test_command_line_counts_more_than_the_checkout_and_that_more_than_the_user(files, tmp_path):
    files(
        user='region = "us-east1"\nproject = "mine-1"\nworkers = 2\nmax_run_hours = 5',
        checkout='region = "us-west1"\nmax_run_hours = 6',
    )
    defaults = settings.read("vertex", {"max_run_hours": 7})
    assert defaults.given == {
        "region": "us-west1", "project": "mine-1", "workers": 2, "max_run_hours": 7
    }  # fmt: skip
    assert defaults.flags["region"].origin == str(tmp_path / "deploy.toml")
    assert defaults.flags["max_run_hours"].origin == "the command line"


def test_table_of_a_target_holds_for_it_alone(files):
    files(user='region = "us-east1"\n[gke]\nregion = "us-west1"\n[tpu_vm]\nzone = "us-west4-a"')
    assert settings.read("vertex", {}).given == {"region": "us-east1"}
    assert settings.read("gke", {}).given == {"region": "us-west1"}
    assert settings.read("tpu_vm", {}).given == {"zone": "us-west4-a"}


def test_project_of_the_environment_counts_more_than_a_file(files, monkeypatch):
    files(user='project = "mine-1"')
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "some-project")
    assert settings.read("vertex", {}).flags["project"] == (
        "some-project",
        "GOOGLE_CLOUD_PROJECT",
    )
    assert settings.read("vertex", {"project": "other-1"}).given == {"project": "other-1"}
    assert settings.read("local", {}).given == {}


def test_bucket_and_prices_are_no_flags(files):
    files(user='bucket = "gs://mine"\n[prices]\n"g2-standard-12" = 1\nv5litepod-4 = 4.8')
    defaults = settings.read("vertex", {})
    assert defaults.given == {}
    assert defaults.bucket.value == "gs://mine"
    assert {name: price.value for name, price in defaults.prices.items()} == {
        "g2-standard-12": 1, "v5litepod-4": 4.8
    }  # fmt: skip


MISTAKES = {
    "region = us": "can't be read (Invalid value",
    'regoin = "us-east1"': "regoin: no such setting; did you mean region?",
    'zzz = "us-east1"': "zzz: no such setting; `deploy.submit --help`",
    "region = 1": "region: got 1, accepted is a text in quotes",
    "workers = true": "workers: got True, accepted is an integer",
    'workers = "2"': "workers: got '2', accepted is an integer",
    "region = ['us-east1']": "region: got ['us-east1'], accepted is a text in quotes",
    '[vertx]\nregion = "us-east1"': "[vertx]: no such table; accepted are [local], [vertex]",
    '[vertex]\nzone = "us-west4-a"': "[vertex] zone: no such setting",
    '[tpu_vm]\nbucket = "b"': "[tpu_vm] bucket: no such setting",
    '[prices]\na = "1"': "[prices] a: got '1', accepted is a price",
    "[prices]\na = -1": "[prices] a: got -1, accepted is a price",
    "[prices]\na = nan": "[prices] a: got nan, accepted is a price",
    'config = "configs/imdb.py"': "config: no such setting",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistake_in_a_file_is_one_line_that_names_it(files, text):
    files(user=text)
    line = refusal(settings.read, "vertex", {})
    assert line.startswith(str(settings.paths()[0]))
    assert MISTAKES[text] in line


def test_file_that_is_no_text_is_one_line(files):
    files()
    settings.paths()[0].write_bytes(b"\xff\xfe")
    assert "can't be read" in refusal(settings.read, "vertex", {})


def test_each_flag_is_shown_with_where_its_value_is_from():
    defaults = Defaults({"workers": Setting(2, "~/deploy.toml")})
    assert defaults.shown(Options(workers=2)) == [
        "--max_restarts=3  (default)",
        "--workers=2  (~/deploy.toml)",
    ]


def test_error_about_a_value_names_the_file_that_holds_it():
    flags = {"region": Setting("x", "~/deploy.toml"), "zone": Setting("y", "the command line")}
    defaults = Defaults(flags)
    error = UserError("--region: got 'x', accepted is a region")
    assert str(defaults.explained(error)).endswith("(this value is from ~/deploy.toml)")
    other = UserError("--zone: got 'y', accepted is a zone")
    assert defaults.explained(other) is other
