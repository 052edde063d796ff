import pytest

from storage.errors import UserError
from trainer.run.run_names import short_names


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["runs/imdb"], ["imdb"]),
        (["runs/imdb", "runs/imdb-2"], ["imdb", "imdb-2"]),
        (["a/imdb", "b/imdb", "b/other"], ["a/imdb", "b/imdb", "other"]),
        (["gs://bucket/runs/a/", "/home/runs/a"], ["bucket/runs/a", "home/runs/a"]),
        (["a", "b/a"], ["a", "b/a"]),
        (["./a/run", "b/run"], ["a/run", "b/run"]),
    ],
)
def test_names_are_the_shortest_ends_that_differ(urls, names):
    assert short_names(urls, "--compare") == names


def test_run_given_twice_is_refused():
    with pytest.raises(UserError, match=r"--workdir: the workdir .\./a/run/. is given twice"):
        short_names(["a/run", "./a/run/"], "--workdir")
