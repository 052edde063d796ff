"""How the tests of sources write, read and refuse: write, open_source, read, complaint."""

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
    """Returns all (text, name of the label) of a split, which a field of the config names."""
    if split not in ("train", options.get("unlabelled_split")):
        options["test_split"] = split
    return [
        (text.decode(), label)
        for texts, labels in open_source(name, **options).batches(split)
        for text, label in zip(texts.numpy(), labels, strict=True)
    ]


def write(folder, files):
    """Writes {path: text or bytes} below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)


def read_files(path, split="train", **options):
    """Returns all (text, name of the label) of a split of files."""
    return read(f"files:{path}", split, **options)


def complaint(function, *arguments, **options):
    """Returns the one line of the UserError that a call raises."""
    with pytest.raises(UserError) as raised:
        function(*arguments, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)
