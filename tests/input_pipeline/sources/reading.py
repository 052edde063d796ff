"""How the tests of sources read one: open_source, read, and the complaint of a call that fails."""

import pytest

from configs import default
from input_pipeline import load
from storage.errors import UserError


def open_source(name, folder="", **options):
    """Opens the source of texts that config.data.source calls `name`."""
    data = default.get_config().data
    data.update(source=name, dir=folder, **options)
    return load.open_reviews(data).texts()


def read(name, split="train", **options):
    """Returns all (text, name of the label) of a split."""
    return [
        (text.decode(), label)
        for texts, labels in open_source(name, **options).batches(split)
        for text, label in zip(texts.numpy(), labels, strict=True)
    ]


def complaint(function, *arguments, **options):
    """Returns the one line of the UserError that a call raises."""
    with pytest.raises(UserError) as raised:
        function(*arguments, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)
