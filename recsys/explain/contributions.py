"""A score taken apart: a table whose cells add up to it, what is known of the user in rows, of the item in columns.

Nearly every model here scores by an inner product of sums. With p_a the vectors that make a user and b_a their biases,
q_c and b_c those of an item,

    <Σ p_a, Σ q_c> + Σ b_a + Σ b_c = Σ over cells of <(0, 1, 0) or (p_a, 0, b_a), (0, 0, 1) or (q_c, b_c, 0)>

so the cell of a user's and an item's term is one inner product, biases stand in a row and a column of their own, and
nothing is attributed by approximation. Models that are linear in what a user has need no vectors: one row a past item.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import DataError

Floats = npt.NDArray[np.float64]
Kind = Literal["everyone", "id", "feature", "past item", "average user", "common", "rest", "anything"]
NEGLIGIBLE = 1e-5
"""Of a user's vector: what is left of it after its terms is rounding, not a term."""


@dataclass(frozen=True)
class Term:
    """One thing that is known.

    Attributes:
        kind: Of users: ``everyone`` (meets the item's bias), ``id`` (what was learned of this user), ``feature``,
            ``past item``, ``average user`` (of whom nothing is known), ``common`` (what is said of every user), or
            ``rest`` (of training that has not converged). Of items: ``anything`` (meets the user's bias), ``id``,
            ``feature`` or ``common``.
        name: The feature or the past item's id; of the others, the kind.
    """

    kind: Kind
    name: str


EVERYONE, ANYTHING = Term("everyone", "everyone"), Term("anything", "anything")
ITSELF = Term("id", "id")
AVERAGE, COMMON, REST = Term("average user", "average user"), Term("common", "common"), Term("rest", "rest")


@dataclass(frozen=True, eq=False)
class Contributions:
    """The table.

    Attributes:
        users: Its rows.
        items: Its columns.
        values: (rows, columns) float64; their sum is the score.
        usual: (rows,) float64 what each row gives to the catalogue's average item.
    """

    users: tuple[Term, ...]
    items: tuple[Term, ...]
    values: Floats
    usual: Floats

    def __post_init__(self) -> None:
        expected = (len(self.users), len(self.items))
        if self.values.shape != expected or self.usual.shape != expected[:1]:
            shapes = f"{self.values.shape} and {self.usual.shape}"
            raise DataError(f"contributions must have shapes {expected} and {expected[:1]}, got {shapes}")

    def scaled(self, by: float) -> Contributions:
        """Of a score ``by`` times as large."""
        return Contributions(self.users, self.items, self.values * by, self.usual * by)


@dataclass(frozen=True, eq=False)
class Question:
    """Why this score.

    Attributes:
        user: Index of the user.
        item: Index of the item.
        items: The model's items.
        data: What the model was fitted on, or took up by `partial_fit`; None where it is not at hand.
        shown: The item features in the presentation shown, where it is not ``data``'s.
    """

    user: int
    item: int
    items: IdMap
    data: Dataset | None = None
    shown: FeatureTable | None = None

    def dataset(self, model: str) -> Dataset:
        """``data``, which this model needs.

        Raises:
            DataError: It is not there.
        """
        if self.data is None:
            raise DataError(f"a {model} model keeps no features and weights; pass data, the dataset it was fitted on")
        return self.data

    def shown_features(self, model: str) -> FeatureTable:
        """The item features on which the score rests."""
        return self.dataset(model).item_features if self.shown is None else self.shown.align(self.items)


@runtime_checkable
class Explainable(Protocol):
    """A fitted model that can take its scores apart."""

    def contributions(self, question: Question) -> Contributions:
        """The table of one score."""
        ...


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of one side and their vectors.

    Attributes:
        terms: What they are.
        vectors: (n, factors + 1), the last column the bias.
    """

    terms: tuple[Term, ...]
    vectors: Floats

    @classmethod
    def of(cls, terms: Iterable[Term], vectors: npt.NDArray[Any], bias: npt.ArrayLike = 0.0) -> Terms:
        """From (n, factors) vectors and their biases."""
        column = np.broadcast_to(np.asarray(bias, np.float64), len(vectors))[:, None]
        return cls(tuple(terms), np.hstack([np.asarray(vectors, np.float64), column]))

    def __add__(self, other: Terms) -> Terms:
        return Terms(self.terms + other.terms, np.vstack([self.vectors, other.vectors]))

    def and_rest(self, whole: npt.ArrayLike) -> Terms:
        """With what is left of the ``whole`` (factors + 1,) vector as one more term, if that is more than rounding."""
        rest = np.asarray(whole, np.float64) - self.vectors.sum(axis=0)
        if np.linalg.norm(rest) <= NEGLIGIBLE * max(float(np.linalg.norm(np.asarray(whole))), 1e-30):
            return self
        return self + Terms((REST,), rest[None])


def bilinear(users: Terms, items: Terms, average_item: npt.ArrayLike) -> Contributions:
    """The table of <Σ p, Σ q> + Σ b.

    Args:
        users: p and b of the user.
        items: q and b of the item.
        average_item: (factors + 1,) mean vector and bias of all items.

    Example:
        >>> users = Terms.of([ITSELF], np.array([[1.0, 2.0]]), 0.5)
        >>> items = Terms.of([ITSELF, Term("feature", "red")], np.array([[1.0, 0.0], [0.0, 1.0]]), [0.25, 0.125])
        >>> bilinear(users, items, np.zeros(3)).values
        array([[0.   , 0.25 , 0.125],
               [0.5  , 1.   , 2.   ]])
    """
    left = np.zeros((1 + len(users.terms), users.vectors.shape[1] + 1))
    left[0, -2] = 1
    left[1:, :-2], left[1:, -1] = users.vectors[:, :-1], users.vectors[:, -1]
    right = np.zeros((1 + len(items.terms), left.shape[1]))
    right[0, -1] = 1
    right[1:, :-1] = items.vectors
    usual = left @ np.append(np.asarray(average_item, np.float64), 1.0)
    return _without_empty(Contributions((EVERYONE, *users.terms), (ANYTHING, *items.terms), left @ right.T, usual))


def linear(past: Iterable[Any], given: npt.NDArray[Any], usual: npt.NDArray[Any]) -> Contributions:
    """The table of a score that is the sum of what each past item gives.

    Args:
        past: (n,) the past items' ids.
        given: (n,) what they give this item.
        usual: (n,) what they give the average item.
    """
    users = tuple(Term("past item", str(name)) for name in past)
    return Contributions(users, (ITSELF,), np.asarray(given, np.float64)[:, None], np.asarray(usual, np.float64))


def shift(value: float, item: Term) -> Contributions:
    """What is added whatever the features: to ``ITSELF`` a bias of this item, to ``ANYTHING`` the same to all."""
    if item == ANYTHING:
        return Contributions((COMMON,), (ANYTHING,), np.array([[value]]), np.array([value]))
    return Contributions((EVERYONE,), (item,), np.array([[value]]), np.zeros(1))


def merged(tables: Sequence[Contributions]) -> Contributions:
    """The table of a sum of scores: cells of the same two terms are added up.

    Example:
        >>> merged([linear(["a"], np.ones(1), np.zeros(1)), linear(["b", "a"], np.ones(2), np.zeros(2))]).values
        array([[2.],
               [1.]])
    """
    users = {t: i for i, t in enumerate(dict.fromkeys(t for table in tables for t in table.users))}
    items = {t: i for i, t in enumerate(dict.fromkeys(t for table in tables for t in table.items))}
    values, usual = np.zeros((len(users), len(items))), np.zeros(len(users))
    for table in tables:
        rows, columns = [users[t] for t in table.users], [items[t] for t in table.items]
        np.add.at(values, np.ix_(rows, columns), table.values)
        np.add.at(usual, rows, table.usual)
    return Contributions(tuple(users), tuple(items), values, usual)


def _without_empty(table: Contributions) -> Contributions:
    """Without the bias row or column where there is no bias."""
    row = int(not table.values[0].any() and not table.usual[0])
    column = int(not table.values[:, 0].any())
    return Contributions(table.users[row:], table.items[column:], table.values[row:, column:], table.usual[row:])
