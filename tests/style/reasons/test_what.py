"""The nearest prototypes by hand."""

import numpy as np
import pytest

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from style.classify.labels import Labels
from style.classify.prototype import fit_prototypes
from style.reasons.what import nearest, style_words


def table(angles: np.ndarray) -> FeatureTable:
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return FeatureTable(IdMap.of(f"p{i}" for i in range(len(rows))), (FeatureBlock("x", rows),))


def test_the_nearest_of_the_class_by_angle() -> None:
    known = table(np.deg2rad([5, 10, 50, 80, 180, 190, 200, 260]))  # four to the right, four to the left
    classifier = fit_prototypes(known, Labels.of(known.ids, ["right"] * 4 + ["left"] * 4))
    one = FeatureTable(IdMap.of(["p1"]), (known.blocks[0].rows(np.array([1])),))
    assert nearest(classifier, one, known, "right", 2) == ["p0", "p2"]  # itself is left out
    other = FeatureTable(IdMap.of(["new"]), one.blocks)
    assert nearest(classifier, other, known, "right", 1) == ["p1"]
    assert set(nearest(classifier, other, known, "left", 9)) == {"p4", "p5", "p6", "p7"}
    with pytest.raises(ConfigError, match="k must be >= 1, got 0"):
        nearest(classifier, one, known, "right", 0)
    with pytest.raises(DataError, match="explains one photo, got 8"):
        nearest(classifier, known, known, "right")


def test_words_name_the_likeliest_first() -> None:
    assert style_words(("a", "b", "c", "d"), np.array([0.3, 0.04, 0.3, 0.36])) == "36 % d, 30 % a, 30 % c"
    assert style_words(("a", "b"), np.array([0.03, 0.02])) == "3 % a"
