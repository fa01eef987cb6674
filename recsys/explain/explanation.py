"""Why an item is recommended to a user: parts that add up to the score, as rows, in words and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.explain.contributions import ANYTHING, COMMON, EVERYONE, Contributions, Explainable, Question, Term
from recsys.models.base import FittedRecommender

if TYPE_CHECKING:
    from matplotlib.figure import Figure

By = Literal["item", "user", "both"]
VIEWS: tuple[By, ...] = ("item", "user", "both")
TOLERANCE = 1e-4
"""Of the sum of the parts' sizes: models keep float32, parts are float64."""


@dataclass(frozen=True)
class Part:
    """One summand of a score.

    Attributes:
        kind: By ``item``: ``taste`` (how the user fits this of the item), ``item bias`` or ``user bias``.
            By ``user``: ``past item``, ``id``, ``feature``, ``average user``, ``common`` or ``rest`` (what this of
            the user gives), ``item bias`` or ``user bias``. By ``both``: the user's term and the item's.
        name: Of the feature or the past item.
        value: What it adds.
    """

    kind: str
    name: str
    value: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """A score and what it is the sum of.

    Attributes:
        model: The model's name.
        user: Whom.
        item: What.
        score: The model's.
        table: What each pair of a user's and an item's terms adds.
    """

    model: str
    user: str
    item: str
    score: float
    table: Contributions

    @property
    def view(self) -> By:
        """By ``item`` where features of it are known, else by ``user``."""
        return "item" if any(t.kind == "feature" for t in self.table.items) else "user"

    def parts(self, by: By | None = None) -> tuple[Part, ...]:
        """The summands, in the order of the model.

        Args:
            by: ``item``: what of the item fits the user; ``user``: what of the user speaks for the item, such as
                each past item; ``both``: every pair of the two. Each adds up to the score. None: `view`.

        Raises:
            ConfigError: An unknown ``by``.
        """
        by = self.view if by is None else by
        if by not in VIEWS:
            raise ConfigError(unknown_name("view", by, VIEWS))
        return _VIEWS[by](self.table)

    def to_frame(self, by: By | None = None) -> pd.DataFrame:
        """`parts` as columns kind, name and value."""
        return pd.DataFrame([vars(p) for p in self.parts(by)], columns=["kind", "name", "value"])

    def to_text(
        self,
        titles: Mapping[str, str] | None = None,
        *,
        words: Mapping[str, str] | None = None,
        bought: str = "bought",
    ) -> str:
        """Two plain sentences for the user: what speaks for the item most, and what else.

        Args:
            titles: Item id → title; the id where there is none.
            words: Feature (``gram``, ``category=bag``) → what customers call it.
            bought: What an interaction is: ``bought``, ``looked at``.
        """
        from recsys.explain.words import sentences

        return sentences(self, titles or {}, words or {}, bought)

    def to_figure(
        self, by: By | None = None, titles: Mapping[str, str] | None = None, words: Mapping[str, str] | None = None
    ) -> Figure:
        """`parts` as bars, the largest twelve by themselves."""
        from recsys.explain.picture import figure

        return figure(self, by, titles or {}, words or {})

    def draw(
        self,
        path: Path,
        by: By | None = None,
        titles: Mapping[str, str] | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        """`to_figure` as an SVG or PNG file, with a text alternative inside.

        Raises:
            ConfigError: The name ends in neither.
        """
        from recsys.explain.picture import write

        write(self, Path(path), by, titles or {}, words or {})


def explain(
    fitted: FittedRecommender, user: str, item: str, data: Dataset | None = None, *, shown: FeatureTable | None = None
) -> Explanation:
    """Take one score apart.

    Args:
        fitted: The model.
        user: Whom.
        item: What; it need not be recommended, and may be something the user has.
        data: What the model was fitted on, or took up by `partial_fit`. Models with features do not keep them, and
            need it.
        shown: The items' features as shown, for a model that got others by ``with_item_features``.

    Raises:
        ConfigError: The model cannot be explained.
        DataError: ``data`` is missing, or is not what the model was fitted on: the parts do not add up to the score.
        UnknownIdError: The user or item is unknown.

    Example:
        >>> from recsys.data import Catalog, Interactions
        >>> from recsys.models.item_knn import ItemKNN
        >>> log = pd.DataFrame({"user_id": list("uuvvw"), "item_id": list("abbcb")})
        >>> catalog = Catalog.from_frame(pd.DataFrame({"item_id": list("abc")}))
        >>> fitted = ItemKNN(weighting="count").fit(Dataset.of(Interactions.from_frame(log), catalog))
        >>> explain(fitted, "w", "a").to_frame().to_dict("records")
        [{'kind': 'past item', 'name': 'b', 'value': 1.0}]
    """
    score = float(fitted.scores([user], [item])[0, 0])
    model = getattr(fitted, "model", type(fitted).__name__)
    if not isinstance(fitted, Explainable):
        raise ConfigError(f"{model} cannot say why; give its fitted type a method contributions, or explain another")
    if data is not None and (data.items != fitted.items or data.users != fitted.users):
        raise DataError("data has other users or items than the model; pass the dataset it was fitted on")
    index = int(fitted.users.encode([user])[0]), int(fitted.items.encode([item])[0])
    table = fitted.contributions(Question(*index, fitted.items, data, shown))
    # Parts far larger than the score lose it: what is left of them must still be the score.
    size = min(float(np.abs(table.values).sum()), max(1e3 * abs(score), 1.0))
    if abs(table.values.sum() - score) > TOLERANCE * max(size, 1e-3):
        raise DataError(
            f"the parts add up to {table.values.sum():g}, the model's score is {score:g}; "
            "pass the dataset it was fitted on, and as shown the features it looks at"
        )
    return Explanation(model, user, item, score, table)


def _by_item(table: Contributions) -> tuple[Part, ...]:
    biased = np.array([t == EVERYONE for t in table.users])
    found = []
    for term, column in zip(table.items, table.values.T, strict=True):
        if term == ANYTHING:
            found.append(Part("user bias", "id", float(column.sum())))
        else:
            found += [Part("item bias", term.name, float(column[biased].sum()))] if biased.any() else []
            found += [Part("taste", term.name, float(column[~biased].sum()))] if not biased.all() else []
    return tuple(found)


def _by_user(table: Contributions) -> tuple[Part, ...]:
    bias = np.array([t == ANYTHING for t in table.items])
    found = []
    for term, row in zip(table.users, table.values, strict=True):
        if term == EVERYONE:
            found.append(Part("item bias", "id", float(row.sum())))
        else:
            if term != COMMON or row[~bias].any():
                found.append(Part(term.kind, term.name, float(row[~bias].sum())))
            found += [Part("user bias", term.name, float(row[bias].sum()))] if row[bias].any() else []
    return tuple(found)


def _by_both(table: Contributions) -> tuple[Part, ...]:
    return tuple(
        Part(*_pair(u, i), float(table.values[a, b]))
        for a, u in enumerate(table.users)
        for b, i in enumerate(table.items)
        if (u, i) != (EVERYONE, ANYTHING)
    )


def _pair(user: Term, item: Term) -> tuple[str, str]:
    if user == EVERYONE:
        return "item bias", item.name
    if item == ANYTHING:
        return "user bias", user.name
    return f"{user.kind} × {item.kind}", f"{user.name} × {item.name}"


_VIEWS = {"item": _by_item, "user": _by_user, "both": _by_both}
