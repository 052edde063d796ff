"""Run with `python -m pytest tests/storage/local_test.py`: local folders only."""

import errno
import os

import pytest

from storage.errors import Corrupt, UserError
from storage.store import open_store
from tests.storage.uses import USES

WRITES = ("write", "create", "open_log", "upload")


def test_url_is_what_the_user_gave(tmp_path):
    assert open_store(str(tmp_path / "run")).url == str(tmp_path / "run")


@pytest.mark.parametrize("url", ["s3://bucket", "gs:/bucket/run", "GS://bucket/run"])
def test_unknown_kind_of_url_is_refused(url):
    with pytest.raises(UserError, match=rf"--workdir: got '{url}'.*local folder or gs://"):
        open_store(url)


def test_opening_a_folder_creates_nothing(tmp_path):
    store = open_store(str(tmp_path / "run"))
    assert not store.exists("a")
    assert store.list() == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("way", ["file", "file/below", "link", "circle"])
def test_workdir_that_can_not_be_a_folder_is_refused(file, way):
    (file.parent / "link").symlink_to("nowhere")
    (file.parent / "circle").symlink_to("circle")
    place = file.parent / way.partition("/")[0]
    with pytest.raises(UserError, match=rf"^--workdir: {place}: Not a directory; move the file or"):
        open_store(str(file.parent / way))


def test_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    store = open_store(str(tmp_path))
    with pytest.raises(UserError, match=r"config\.json: It is no file; move it away"):
        store.read("config.json")
    with pytest.raises(UserError, match="It is no file"):
        store.download("config.json", tmp_path / "copy")


def test_home_that_is_not_known_is_a_user_error():
    with pytest.raises(UserError, match=r"got '~nobody_here/run', .* give the whole path"):
        open_store("~nobody_here/run")


@pytest.mark.parametrize("url", ["run\udcff", "gs://bucket/run\udcff"])
def test_workdir_whose_name_is_not_utf8_is_refused(url):
    with pytest.raises(UserError, match=r"--workdir: got '.*udcff'"):
        open_store(url)


def test_home_is_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    open_store("~/run").write("a", b"1")
    assert (tmp_path / "run" / "a").read_bytes() == b"1"


def test_relative_workdir_stays_the_same_when_the_process_moves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("run")
    store.write("a", b"1")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.read("a") == b"1"


@pytest.mark.parametrize("way", ["file", "link"])
@pytest.mark.parametrize(
    ("use", "name"),
    [*((use, "claims") for use in WRITES), *((use, ".scratch") for use in WRITES[:-1])],
)
def test_file_or_link_in_the_way_of_a_folder_is_a_user_error(tmp_path, file, use, name, way):
    folder = tmp_path / "run" / name
    folder.parent.mkdir()
    folder.touch() if way == "file" else folder.symlink_to("nowhere")
    with pytest.raises(UserError, match=rf"^--workdir: {folder}: Not a directory; move the file"):
        USES[use](open_store(str(tmp_path / "run")), "claims/1", file)


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o600])
@pytest.mark.parametrize("use", USES)
def test_folder_that_this_user_may_not_use_is_a_user_error(plain_user, use, mode):
    file, folder = plain_user / "file", plain_user / "run"
    file.touch()
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b").touch()
    (folder / "a").chmod(mode)
    with pytest.raises(UserError, match=rf"^--workdir: {folder}/a.*; grant this user access to it"):
        # A folder that can be read is listed, but not what is in it.
        USES[use if mode == 0 or use != "list" else "exists"](open_store(str(folder)), "a/b", file)


@pytest.mark.parametrize("kind", ["file", "dangling link", "circular link", "unreadable"])
def test_listing_that_fails_is_a_user_error(plain_user, kind):
    folder = plain_user / "checkpoints"
    match kind:
        case "file":
            folder.touch()
        case "dangling link":
            folder.symlink_to("nowhere")
        case "circular link":
            folder.symlink_to("checkpoints")
        case "unreadable":
            (folder / "20").mkdir(parents=True)
            (folder / "20").chmod(0)
    with pytest.raises(UserError, match=rf"^--workdir: {folder}.*run the same command again$"):
        open_store(str(plain_user)).list("checkpoints/")


@pytest.mark.parametrize("use", ["read", "download"])
def test_file_that_can_not_be_read_is_as_good_as_damaged(plain_user, use):
    (plain_user / "closed").touch(mode=0)
    (plain_user / "circle").symlink_to("circle")
    (plain_user / "folder").mkdir()
    for name in ("closed", "circle", "folder"):
        with pytest.raises(Corrupt, match=rf"^--workdir: {plain_user}/{name}: "):
            USES[use](open_store(str(plain_user)), name, plain_user / "copy")


def test_dangling_link_is_neither_there_nor_missing(tmp_path):
    (tmp_path / "config.json").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"config\.json: No such file .*; bring it back"):
        open_store(str(tmp_path)).exists("config.json")


def test_log_on_a_full_disk_keeps_whole_appends_only(tmp_path, limit_file_size):
    log = open_store(str(tmp_path)).open_log("log", b"one\n", lambda: None)
    limit_file_size(6)
    with pytest.raises(UserError, match="log: File too large; raise the limit"):
        log.append(b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\n"
    limit_file_size(100)
    log.append(b"three\n")
    assert (tmp_path / "log").read_bytes() == b"one\nthree\n"


@pytest.mark.parametrize(("use", "function"), [("write", "replace"), ("create", "link")])
def test_folder_that_another_process_deletes_meanwhile_is_made_again(
    tmp_path, monkeypatch, use, function
):
    place, deletions = getattr(os, function), iter(["once"])

    def place_after_deletion(source, target):
        if next(deletions, None):
            target.parent.rmdir()
        place(source, target)

    monkeypatch.setattr(os, function, place_after_deletion)
    store = open_store(str(tmp_path))
    USES[use](store, "claims/1", None)
    assert store.read("claims/1") == b"x"


def test_folder_that_another_process_makes_and_deletes_meanwhile_is_made(tmp_path, monkeypatch):
    mkdir, makings = os.mkdir, iter(["once"])

    def mkdir_after_another(path, *mode):
        if str(path).endswith("claims") and next(makings, None):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        mkdir(path, *mode)

    monkeypatch.setattr(os, "mkdir", mkdir_after_another)
    store = open_store(str(tmp_path))
    store.create("claims/1", b"x")
    assert store.read("claims/1") == b"x"


def test_log_that_another_process_replaces_at_once_does_not_append_to_that_one(
    tmp_path, monkeypatch
):
    replace, replacements = os.replace, iter(["once"])

    def replace_before_another(source, target):
        replace(source, target)
        if next(replacements, None):
            other.write("log", b"of another\n")

    monkeypatch.setattr(os, "replace", replace_before_another)
    store, other = open_store(str(tmp_path)), open_store(str(tmp_path))
    log = store.open_log("log", b"one\n", lambda: None)
    log.append(b"two\n")
    log.close()
    assert store.read("log") == b"of another\n"


def test_object_that_is_deleted_right_after_it_was_in_the_way_is_no_error_of_the_disk(
    tmp_path, monkeypatch
):
    def link(source, target):
        raise FileExistsError

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(FileExistsError):
        open_store(str(tmp_path)).create("claims/1", b"x")
