"""The folders of a user's files."""

from pathlib import Path

from deploy.user_folders import user_folder


def test_variable_counts_more_than_the_default(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/mine")
    assert user_folder("XDG_CONFIG_HOME", "~/.config") == Path("/etc/mine")
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert user_folder("XDG_CONFIG_HOME", "~/.config") == Path("/home/me/.config")


def test_user_without_a_home_has_no_such_folder(monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "expanduser", lambda path: (_ for _ in ()).throw(RuntimeError("no")))
    assert not user_folder("XDG_CONFIG_HOME", "~/.config").exists()
