"""The kinds of source that `config.data.source` can name, one line each.

    kind, argument = kind_of("tfds:imdb_reviews")
    reviews = kind.open(argument, config.data)      # a `sources.reviews.Reviews`

A new kind is a module here, named after its prefix, with `open_reviews(argument, data)`, and an
entry in KINDS. This module imports neither TensorFlow nor a kind's own module, so that a command
line can check a source without waiting for them.
"""

import dataclasses
import importlib
import re
from typing import TYPE_CHECKING, Any, Literal

from storage.errors import UserError

if TYPE_CHECKING:
    import ml_collections

    from input_pipeline.sources.reviews import Reviews


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of source. It is written `prefix:argument`, or `prefix` alone."""

    prefix: str
    argument: str  # the argument's name in messages, such as "NAME"; "" when the kind takes none
    # What a submitted job needs before it can read such a source: nothing, a way to the internet,
    # or shards that --mode=prepare has written.
    job_needs: Literal["nothing", "internet", "preparation"]
    # The form that machines other than this one can read; "" when they can't read any.
    reachable_form: str
    reachable_start: str = ""  # what the argument begins with in that form

    @property
    def form(self) -> str:
        """Returns how a source of this kind is written, such as "tfds:NAME"."""
        return f"{self.prefix}:{self.argument}" if self.argument else self.prefix

    def is_reachable(self, argument: str) -> bool:
        """Returns True when a job on other machines can read the source with this argument."""
        return bool(self.reachable_form) and argument.startswith(self.reachable_start)

    def open(self, argument: str, data: "ml_collections.ConfigDict") -> "Reviews":
        """Opens the source with this argument; `data` is the `data` part of a config.

        Raises UserError when it can't be opened.
        """
        module = importlib.import_module(f"input_pipeline.sources.{self.prefix}")
        return module.open_reviews(argument, data)


KINDS = (
    Kind("sample", "", "nothing", "sample"),
    Kind("tfds", "NAME", "internet", "tfds:NAME"),
    Kind("files", "PATH", "nothing", ""),
    Kind("shards", "URL", "preparation", "shards:gs://BUCKET/PATH", "gs://"),
)


def _listed(forms: list[str]) -> str:
    """Returns "'a', 'b' or 'c'"."""
    *first, last = map(repr, forms)
    return f"{', '.join(first)} or {last}"


ACCEPTED = _listed([kind.form for kind in KINDS])


def _split(source: str) -> tuple[Kind, str] | None:
    """Returns the kind and the argument of a source, or None for another text."""
    prefix, colon, argument = source.partition(":")
    for kind in KINDS:
        if kind.prefix == prefix and bool(kind.argument) == bool(argument) == bool(colon):
            return kind, argument
    return None


def is_source(value: Any) -> bool:
    """Returns True when `value` is written like a source. Opens nothing."""
    return isinstance(value, str) and _split(value) is not None


def require_path(
    field: str,
    value: str,
    prefix: str = "",
    instead: str = ", or prepare them as shards with --mode=prepare, which are read from a bucket",
) -> None:
    """Raises UserError for a URL, after `prefix`, where a path of this machine is read.

    Nothing here reads TFDS's sets, files of reviews or vectors or the cache from a bucket, and
    "gs://bucket" would be taken for a folder with the name "gs:". `instead` is what else can be
    done than to copy the files.
    """
    if re.match(rf"{prefix}\w+:/", value):
        raise UserError(
            f"{field}: got {value!r}, accepted is a path on the machine that reads it, not a URL; "
            f"copy the files there with `gcloud storage rsync`{instead}"
        )


def kind_of(source: str) -> tuple[Kind, str]:
    """Returns the kind and the argument of a source such as "tfds:imdb_reviews".

    Raises UserError when the text is not written like a source.
    """
    found = _split(source)
    if found is None:
        raise UserError(f"config.data.source: got {source!r}, accepted is {ACCEPTED}")
    return found
