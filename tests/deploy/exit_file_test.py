"""The exit code that a job leaves in its workdir."""

from deploy import exit_file
from storage.store import open_store


def test_code_is_that_of_the_job_of_this_name(tmp_path):
    store = open_store(str(tmp_path))
    assert exit_file.read(store, exit_file.name_of("imdb")) == ""
    store.write("logs/imdb.exit", b"75\n")
    store.write("logs/imdb-2.exit", b"\xff")
    assert exit_file.read(store, exit_file.name_of("imdb")) == "75"
    assert exit_file.read(store, exit_file.name_of("imdb-2")) == "\ufffd"
