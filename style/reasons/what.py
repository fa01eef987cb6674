"""What a photo's style is like: shares of styles in words, and the known photos nearest to it."""

from __future__ import annotations

import numpy as np

from recsys.data.features import FeatureTable
from recsys.errors import ConfigError, DataError
from style.classify.classifier import Classifier
from style.classify.logistic import Values

LEAST = 0.05
"""Styles that are less likely go unnamed, but for the likeliest."""
NAMED = 3


def style_words(classes: tuple[str, ...], probabilities: Values) -> str:
    """The likeliest styles with their shares; of equals the first.

    Args:
        classes: k names.
        probabilities: (k,) in 0 … 1.

    Example:
        >>> style_words(("minimalist", "retro", "street"), np.array([0.22, 0.61, 0.03]))
        '61 % retro, 22 % minimalist'
    """
    order = np.argsort(-probabilities, kind="stable")[:NAMED]
    named = [i for place, i in enumerate(order) if place == 0 or probabilities[i] >= LEAST]
    return ", ".join(f"{100 * probabilities[i]:.0f} % {classes[i]}" for i in named)


def nearest(classifier: Classifier, photo: FeatureTable, known: FeatureTable, name: str, k: int = 3) -> list[str]:
    """Ids of the known photos that the classifier finds likest to a photo, among those it calls ``name``.

    Likest by the cosine of scaled rows; ``name`` is their likeliest class. Of equals the first; the photo itself, by
    its id, is left out. Fewer than k where fewer are called so.

    Args:
        classifier: What reads them.
        photo: One row.
        known: (n, …) the prototypes to choose from.
        name: A class.
        k: At most so many.

    Raises:
        ConfigError: ``k`` below 1.
        DataError: ``photo`` has not one row, or a block is missing.
    """
    if k < 1:
        raise ConfigError(f"k must be >= 1, got {k}")
    if len(photo.ids) != 1:
        raise DataError(f"nearest explains one photo, got {len(photo.ids)}")
    said = classifier.predict(known).probabilities
    called = np.asarray(classifier.classes, dtype=object)[said.argmax(axis=1)] == name
    usable = np.flatnonzero(called & (known.ids.ids != photo.ids.ids[0]))
    likeness = (classifier.scaling.apply(known) @ classifier.scaling.apply(photo)[0])[usable]
    return [str(i) for i in known.ids.ids[usable[np.argsort(-likeness, kind="stable")[:k]]]]
