"""What a model answers: columns, never padded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import DataError

ORIGINAL = "original"
"""The look of a product photo as it was taken."""


@dataclass(frozen=True, eq=False)
class Recommendations:
    """Ranked items for users (or for query items), one row a pair, as equally long columns.

    Attributes:
        user_id: Whom (or which query item) the row is for.
        item_id: What is recommended.
        score: The model's score, comparable within one user only.
        rank: 1 is best; consecutive within a user. Short lists are short.
        presentation: The look in which to show the item.

    Example:
        >>> recs = Recommendations.of(["u", "u"], ["a", "b"], [0.9, 0.1], [1, 2])
        >>> recs.to_frame().iloc[0].to_dict()
        {'user_id': 'u', 'item_id': 'a', 'score': 0.9, 'rank': 1, 'presentation': 'original'}
    """

    user_id: npt.NDArray[Any]
    item_id: npt.NDArray[Any]
    score: npt.NDArray[np.float64]
    rank: npt.NDArray[np.int64]
    presentation: npt.NDArray[Any]

    def __post_init__(self) -> None:
        lengths = {len(c) for c in (self.user_id, self.item_id, self.score, self.rank, self.presentation)}
        if len(lengths) != 1:
            raise DataError(f"columns must be equally long, got lengths {sorted(lengths)}")

    @classmethod
    def of(
        cls,
        user_id: Iterable[str],
        item_id: Iterable[str],
        score: npt.ArrayLike,
        rank: npt.ArrayLike,
        presentation: Iterable[str] | None = None,
    ) -> Recommendations:
        """From any equally long sequences; ``presentation`` defaults to the original."""
        users = np.asarray(user_id if isinstance(user_id, np.ndarray) else list(user_id), dtype=object)
        items = np.asarray(item_id if isinstance(item_id, np.ndarray) else list(item_id), dtype=object)
        looks = np.full(len(items), ORIGINAL, dtype=object)
        if presentation is not None:
            looks = np.asarray(list(presentation), dtype=object)
        return cls(users, items, np.asarray(score, np.float64), np.asarray(rank, np.int64), looks)

    def __len__(self) -> int:
        return len(self.item_id)

    def to_frame(self) -> pd.DataFrame:
        """The columns as a data frame."""
        return pd.DataFrame(
            {
                "user_id": self.user_id,
                "item_id": self.item_id,
                "score": self.score,
                "rank": self.rank,
                "presentation": self.presentation,
            }
        )
