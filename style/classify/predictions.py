"""What a classifier says of items: probabilities, names, the next best, and when it would rather not say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.features import FeatureBlock
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from style.classify.labels import BETWEEN
from style.classify.logistic import Link, Values


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row an item.

    Attributes:
        ids: The items.
        classes: k names.
        probabilities: (n, k); with ``softmax`` rows sum to 1.
        thresholds: (k,) least probability at which a class is named.
        link: As of the classifier.
        classifier: The mark of the classifier that said so.

    Example:
        >>> said = Predictions(IdMap.of("ab"), ("plain", "retro"), np.array([[0.9, 0.1], [0.5, 0.5]]), np.full(2, 0.6))
        >>> said.names.tolist(), said.top(1)["class"].tolist()
        (['plain', ''], ['plain', 'plain'])
    """

    ids: IdMap
    classes: tuple[str, ...]
    probabilities: Values
    thresholds: Values
    link: Link = "softmax"
    classifier: str = ""

    @property
    def names(self) -> npt.NDArray[np.object_]:
        """(n,) the class of each item, "" where it abstains; with ``sigmoid`` all that reach their threshold."""
        table = np.asarray(self.classes, dtype=object)
        if self.link == "sigmoid":
            texts = [BETWEEN.join(table[row]) for row in self.probabilities >= self.thresholds]
            return np.asarray(texts, dtype=object)
        best = self.probabilities.argmax(axis=1)
        sure = self.probabilities.max(axis=1, initial=0) >= self.thresholds[best]
        return np.where(sure, table[best], "").astype(object)

    def top(self, k: int) -> pd.DataFrame:
        """The k likeliest classes of each item, of equals the first: item_id, rank, class, probability.

        Raises:
            ConfigError: ``k`` below 1.
        """
        if k < 1:
            raise ConfigError(f"top needs k >= 1, got {k}")
        k = min(k, len(self.classes))
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        columns = {
            "item_id": np.repeat(self.ids.ids, k),
            "rank": np.tile(np.arange(1, k + 1), len(self.ids)),
            "class": np.asarray(self.classes, dtype=object)[order].ravel(),
            "probability": np.take_along_axis(self.probabilities, order, axis=1).ravel(),
        }
        return pd.DataFrame(columns)

    def to_frame(self, column: str = "style") -> pd.DataFrame:
        """item_id, ``column`` (the name or ""), ``<column>_probability`` of the likeliest class."""
        sure = self.probabilities.max(axis=1, initial=0)
        return pd.DataFrame({"item_id": self.ids.ids, column: self.names, f"{column}_probability": sure})

    def block(self, name: str = "style") -> FeatureBlock:
        """The probabilities as features, one column a class."""
        about = {"kind": "style probabilities", "classifier": self.classifier}
        return FeatureBlock(name, self.probabilities.astype(np.float32), self.classes, about)
