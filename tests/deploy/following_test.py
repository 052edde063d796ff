"""Finding the place of a job by its name, and listing the jobs of all places."""

import functools
from datetime import datetime, timedelta, timezone

import pytest

from deploy import following, records, settings
from deploy.records import Record
from deploy.targets.target import Following
from deploy.targets.tpu_vm.target import TARGET as TPU_VM
from tests.deploy.examples import refusal
from tests.deploy.plans import tpu_plan
from tests.fakes.tpu_server import TpuServer

pytestmark = pytest.mark.usefixtures("environment")
PLACE = {"zone": "us-west4-a"}


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "_CHECKOUT", tmp_path)
    with TpuServer() as running:
        connect = functools.partial(TPU_VM.connect, channel=running.channel())
        monkeypatch.setattr(TPU_VM, "connect", connect)
        yield running


def status(name="imdb", target=None, given=(), **wishes):
    return following.follow(Following("status", name, **wishes), target, dict(given))


def test_name_is_enough_for_a_job_that_was_submitted_here(server, tmp_path, capsys):
    tpu_plan(tmp_path).submit(None)
    assert status() == 0
    assert "imdb: WAITING_FOR_RESOURCES" in capsys.readouterr().out


def test_record_knows_the_workdir_of_a_job_that_is_over(server, cloud, tmp_path, capsys):
    tpu_plan(tmp_path).submit(None)
    cloud.put("bucket", f"{tmp_path.name}/a/logs/imdb.exit", b"0\n")
    server.resources.clear()
    assert status() == 0
    assert "imdb: DELETED exit code 0" in capsys.readouterr().out


def test_full_name_that_the_submission_printed_is_understood(server, tmp_path, capsys, home):
    tpu_plan(tmp_path).submit(None)
    (home / "state" / "longhaul" / "jobs.jsonl").unlink()
    (full_name,) = server.resources
    assert status(full_name) == 0
    assert "imdb: WAITING_FOR_RESOURCES" in capsys.readouterr().out


def test_flags_find_a_job_that_was_submitted_elsewhere(server, tmp_path, home):
    tpu_plan(tmp_path).submit(None)
    (home / "state" / "longhaul" / "jobs.jsonl").unlink()
    assert status(target="tpu_vm", given=PLACE) == 0
    assert "no such job" in refusal(
        status,
        target="tpu_vm",
        given={"zone": "us-east5-b"},
        workdir=f"gs://bucket/{tmp_path.name}",
    )


def test_settings_find_it_too(server, tmp_path, home):
    tpu_plan(tmp_path).submit(None)
    (home / "state" / "longhaul" / "jobs.jsonl").unlink()
    path = settings.paths()[1]
    path.write_text('[tpu_vm]\nzone = "us-west4-a"\naccelerator_type = "v5litepod-16"\n')
    assert status(target="tpu_vm") == 0


def test_job_that_nothing_is_known_of_is_refused(server):
    assert refusal(status).startswith("imdb: was not submitted from this machine; give --target")
    assert "--zone: missing; --target=tpu_vm needs it" in refusal(status, target="tpu_vm")


def test_flag_that_finds_no_job_is_refused(server, tmp_path):
    tpu_plan(tmp_path).submit(None)
    line = refusal(status, given={"max_run_hours": 3})
    assert line.startswith("--max_run_hours: got 3, but `status` doesn't take it; a job of")
    assert "--zone and --project" in line


def test_list_shows_the_jobs_of_all_places_and_says_which_can_not_be_asked(
    server, cloud, tmp_path, capsys
):
    tpu_plan(tmp_path).submit(None)
    gone = {"zone": "europe-west4-b", "project": "some-project"}
    records.add(Record("old", "tpu_vm", gone, f"gs://bucket/{tmp_path.name}/old"))
    cloud.put("bucket", f"{tmp_path.name}/old/logs/old.exit", b"1\n")
    records.add(Record("other", "tpu_vm", {"zone": "Mars", "project": "some-project"}, "gs://b/c"))
    capsys.readouterr()
    assert following.show_all(None, {}) == 1
    output = capsys.readouterr()
    rows = [line.split() for line in output.out.splitlines()]
    assert rows[0] == ["NAME", "WHERE", "STATE", "CREATED"]
    assert rows[1][:5] == ["imdb", "tpu_vm", "us-west4-a", "some-project", "WAITING_FOR_RESOURCES"]
    assert rows[2][:3] == ["old", "tpu_vm", "europe-west4-b"]
    assert rows[2][4:] == ["DELETED", "exit", "code", "1", "-"]
    assert len(rows) == 3
    assert "error: tpu_vm Mars some-project: --zone: got 'Mars'" in output.err


def test_list_of_one_target_and_place(server, tmp_path, capsys):
    tpu_plan(tmp_path).submit(None)
    records.add(Record("a", "gke", {"namespace": "default", "context": "x"}, "gs://bucket/a"))
    capsys.readouterr()
    assert following.show_all("tpu_vm", PLACE) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["NAME", "imdb"]


def test_list_without_any_place_says_what_to_give(server, capsys):
    assert "list: no place is known; give --target" in refusal(following.show_all, None, {})
    assert following.show_all("tpu_vm", PLACE) == 0
    assert capsys.readouterr().err == "no jobs\n"


def test_reason_of_a_state_is_listed(server, monkeypatch, tmp_path, capsys):
    tpu_plan(tmp_path).submit(None)
    server.move("imdb", "FAILED", "no more capacity")
    following.show_all("tpu_vm", PLACE)
    assert "FAILED no more capacity" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("2h", 7200), ("1d", 86400)])
def test_since_is_a_time_ago(text, seconds):
    ago = timedelta(seconds=seconds)
    earliest = datetime.now(timezone.utc) - ago
    assert earliest <= following.parse_since(text) <= datetime.now(timezone.utc) - ago


def test_since_is_a_time_in_utc_unless_it_says_otherwise():
    assert following.parse_since("2026-05-01T12:00").isoformat() == "2026-05-01T12:00:00+00:00"
    assert following.parse_since("2026-05-01T12:00+02:00").isoformat().endswith("+02:00")
    assert following.parse_since("") is None


@pytest.mark.parametrize(
    "text", ["2", "h", "-2h", "2 h", "yesterday", "2026-13-01", "1w", "9" * 30, "999999d"]
)
def test_other_times_are_refused(text):
    assert refusal(following.parse_since, text).startswith("--since: got ")
