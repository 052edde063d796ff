"""The progress bar of an epoch: time left, rates and loss.

bar = ProgressBar(epoch=1, epochs=10, steps=360, first_step=0)
bar.advance(reviews=64, tokens=14_000, loss=0.43)
bar.close()
"""

from tqdm import tqdm

from trainer.run.clock import Rate


class ProgressBar:
    """A bar over the steps of one epoch; shows nothing where standard error is no terminal."""

    def __init__(self, epoch: int, epochs: int, steps: int, first_step: int):
        self._rate = Rate()
        self._bar = tqdm(
            desc=f"Epoch {epoch}/{epochs}",
            total=steps,
            initial=first_step,
            disable=None,
            leave=False,
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n}/{total} [{remaining} left{postfix}]",
        )

    def advance(self, reviews: int, tokens: int, loss: float) -> None:
        """Moves on by a step; `loss` is the mean so far."""
        self._rate.add(reviews, tokens)
        if self._bar.disable:
            return
        rates = self._rate.values()
        self._bar.set_postfix_str(
            f"{rates['reviews_per_second']:,.0f} reviews/s, "
            f"{rates['tokens_per_second']:,.0f} tokens/s, loss {loss:.3f}",
            refresh=False,
        )
        self._bar.update()

    def close(self) -> None:
        """Clears the bar."""
        self._bar.close()
