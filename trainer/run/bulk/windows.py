"""Cuts a stream of texts into windows, each of which is predicted at once.

for texts in windows(texts): ...      # lists of up to WINDOW texts

Within a window the reviews are batched by length. So it should hold many batches, but take little
memory.
"""

from collections.abc import Iterable, Iterator

WINDOW = 4096  # texts
_CHARACTERS = 2**24  # after which a window of long texts ends


def windows(
    texts: Iterable[str | None], most: int = WINDOW, characters: int = _CHARACTERS
) -> Iterator[list[str]]:
    """Yields lists of consecutive texts: up to `most`, and fewer after that many `characters`.

    None among the texts ends a window early: nothing more has arrived so far.
    """
    window: list[str] = []
    size = 0
    for text in texts:
        if text is not None:
            window.append(text)
            size += len(text)
        if window and (text is None or len(window) == most or size >= characters):
            yield window
            window, size = [], 0
    if window:
        yield window
