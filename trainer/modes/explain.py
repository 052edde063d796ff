"""Mode `explain`: shows what a run's network does with reviews, word by word.

explain(scoring_config(store, None), store, "best", texts, open_store("explanations"))

For each text it writes NAME.html, a page of its own, and NAME.png, a picture of up to 60 words.
NAME has the first words and a digest of the text, so the same text replaces what was written of it.
"""

import hashlib
import re
from collections.abc import Sequence

import ml_collections

from storage.errors import UserError
from storage.store import Store, open_store
from trainer.learning.explainer import Explainer, Explanation
from trainer.modes.interface import Call, require_utf8
from trainer.pages import explanation as pages
from trainer.pages import figures
from trainer.run import terminal
from trainer.run.trained_network import load_predictor
from trainer.run.workdir import scoring_config

FOLDER = "explanations"  # in the workdir
_WORDS_OF_A_NAME = 6


def run(call: Call) -> None:
    """Runs the mode; without --to the files are in the workdir."""
    _check(call.text)
    config, workdir = scoring_config(call.store, call.config), call.store
    url = call.to or f"{workdir.url.rstrip('/')}/{FOLDER}"
    explain(config, workdir, call.checkpoint, call.text, open_store(url, "--to"))


def explain(
    config: ml_collections.ConfigDict,
    store: Store,
    checkpoint: str,
    texts: Sequence[str],
    destination: Store,
) -> None:
    """Writes the page and the picture of each text, and prints the verdict and where they are."""
    predictor, trained = load_predictor(config, store, checkpoint, "explain")
    explainer = Explainer(predictor, trained.encoding.labels.names)
    for text in texts:
        explanation = explainer.explain(text)
        page = f"{destination.url.rstrip('/')}/{_write(explanation, destination)}.html"
        probability = explanation.probabilities.max()
        terminal.result(f"{explanation.label} {probability:.4f}: {page} and .png")
        read, length = len(explanation.words), explanation.length
        if length > read:
            terminal.say(f"  The network reads {read:,} of the {length:,} words")
    terminal.say(f"Checkpoint: {trained.describe()}")


def _write(explanation: Explanation, destination: Store) -> str:
    """Writes both files, and returns their name without its end."""
    name = _name(explanation)
    picture = pages.figure(explanation, pages.most_interesting(explanation))
    files = {
        f"{name}.html": pages.page_of(explanation).encode(),
        f"{name}.png": figures.as_png(picture),
    }
    for file, data in files.items():
        destination.write(file, data)
    return name


def _name(explanation: Explanation) -> str:
    """Returns a name of ASCII letters and digits, which every store and system takes."""
    words = " ".join(explanation.words[:_WORDS_OF_A_NAME])[:40].lower()
    digest = hashlib.sha256(explanation.text.encode()).hexdigest()[:8]
    return "-".join([*re.findall("[a-z0-9]+", words), digest])


def _check(texts: Sequence[str]) -> None:
    """Raises UserError when there is no text, or one that is not UTF-8."""
    if not texts:
        raise UserError('--text: missing; give a review, such as --text="A film to remember."')
    for text in texts:
        require_utf8(text)
