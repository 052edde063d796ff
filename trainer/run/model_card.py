"""The model card of an exported network: what it is, what it was trained on, and its limits.

text(config, encoding, manifest)        # Markdown
"""

import json

import ml_collections

from input_pipeline.encoding import Encoding
from trainer.run.manifest import Manifest

NAME = "model_card.md"
_TEMPLATE = """\
# Sentiment classifier of reviews

A stacked LSTM that longhaul has trained. Given a text it returns the labels {labels} with their
probabilities.

## Use

```
import tensorflow as tf
classify = tf.saved_model.load("FOLDER").signatures["serving_default"]
classify(text=tf.constant(["A film to remember."]))
```

`text` <string>[n] is UTF-8. The outputs are `label` <string>[n] and `probability` <float32>[n] of
the predicted label, and `labels` <string>[n, {count}] and `probabilities` <float32>[n, {count}] of
all. The vocabulary and the rules that split a text into tokens are part of the model.

## Training

- Reviews: `{source}`, split `{split}`, of which a share of {share} was held out for validation
- Vocabulary: {vocabulary} tokens; texts are cut to {tokens} tokens ({keep})
- Checkpoint: step {step}

| validation | |
| --- | --- |
{metrics}

Checkpoints were compared by these reviews, so the figures are kinder than those of new reviews.

## Limits

- It knows the language and the kind of text that it was trained on. On others its probabilities
  mean little, and it does not say so.
- Tokens outside of the vocabulary are one unknown word, and what is cut from a long text is not
  read.
- It was not examined for differences between groups of authors or subjects. Don't decide about
  people with it.

## Config

```
{config}
```
"""


def text(config: ml_collections.ConfigDict, encoding: Encoding, manifest: Manifest) -> str:
    """Returns the card, in Markdown, of a checkpoint's network."""
    data = config.data
    metrics = manifest.metrics.items()
    return _TEMPLATE.format(
        labels=", ".join(f"`{name}`" for name in encoding.labels.names),
        count=len(encoding.labels.names),
        source=data.source,
        split=data.train_split,
        share=data.validation_share,
        vocabulary=f"{len(encoding.vocabulary):,}",
        tokens=data.max_tokens,
        keep=data.keep,
        step=manifest.step,
        metrics="\n".join(f"| {name} | {_shown(value)} |" for name, value in metrics),
        config=json.dumps(config.to_dict(), indent=1),
    )


def _shown(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
