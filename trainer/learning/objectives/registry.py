"""The objectives, by the name that a config gives them.

objective = create_objective(config, labels)
"""

from collections.abc import Callable, Mapping

import ml_collections

from input_pipeline.labels import Labels
from trainer.learning.objectives.adversarial import Adversarial
from trainer.learning.objectives.classification import Classification
from trainer.learning.objectives.entropy import Entropy
from trainer.learning.objectives.language_model import LanguageModeling
from trainer.learning.objectives.multiclass import Multiclass
from trainer.learning.objectives.objective import Objective
from trainer.learning.objectives.term import Term
from trainer.learning.objectives.virtual_adversarial import VirtualAdversarial

# The terms beside the classification, by the names that `objective.terms` has for their factors.
TERMS: Mapping[str, Callable[[Classification, float], Term]] = {
    "adversarial": lambda objective, norm: Adversarial(objective.loss, norm),
    "virtual_adversarial": lambda objective, norm: VirtualAdversarial(norm),
    "entropy": lambda objective, norm: Entropy(),
}


def _classification(config: ml_collections.ConfigDict, labels: Labels) -> Objective:
    kind = Classification if len(labels) == 2 else Multiclass
    objective = kind(labels, config.train.label_smoothing)
    factors, norm = config.objective.terms, config.objective.perturbation
    terms = {
        name: (factors[name], make(objective, norm))
        for name, make in TERMS.items()
        if factors[name]
    }
    if not terms:
        return objective
    return objective.with_terms(terms, config.objective.terms_after_epochs)


def _language_model(config: ml_collections.ConfigDict, labels: Labels) -> Objective:
    fields = config.objective
    objective = LanguageModeling(config.model.bidirectional, fields.sampled_words)
    if not fields.terms.distant:
        return objective
    return objective.with_distant_words(
        fields.terms.distant, fields.distance, fields.terms_after_epochs
    )


_MAKERS: dict[str, Callable[[ml_collections.ConfigDict, Labels], Objective]] = {
    "classification": _classification,
    "language_model": _language_model,
}


def create_objective(config: ml_collections.ConfigDict, labels: Labels) -> Objective:
    """Returns the objective of a whole config for reviews with these labels."""
    return _MAKERS[config.objective.name](config, labels)
