"""In which look to show each recommended item: the accepted one in which its user is predicted to like it best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.ids import IdMap
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL, Recommendations
from recsys.errors import ConfigError, DataError

Doubles = npt.NDArray[np.float64]
USERS = 256
"""Users scored at a time: their items together, not the catalogue, are what a model has to score."""


class Scorer(Protocol):
    """A fitted model, looking at the pictures of one look."""

    def scores(self, users: Iterable[str], items: Iterable[str] | None = None) -> npt.NDArray[np.float32]:
        """(n_users, n_items) scores, higher is better."""
        ...


@dataclass(frozen=True, eq=False)
class Shown:
    """Recommendations with a chosen look for every item, and why.

    Attributes:
        recommendations: As given, with ``presentation`` set.
        looks: Look names, the original first.
        score: (n, n_looks) predicted score of every row in every look.
        accepted: (n, n_looks) whether the guard lets it be shown.
        choice: (n,) column of the chosen look.
        refusal: (n, n_looks) the guard's reason where it refused; "" elsewhere.
        margin: What a look had to score above the original.
    """

    recommendations: Recommendations
    looks: tuple[str, ...]
    score: Doubles
    accepted: npt.NDArray[np.bool_]
    choice: npt.NDArray[np.int64]
    refusal: npt.NDArray[Any]
    margin: float

    @property
    def gain(self) -> Doubles:
        """(n,) score of the chosen look above the original's; 0 where the original is shown."""
        return self.score[np.arange(len(self.choice)), self.choice] - self.score[:, 0]

    def reasons(self) -> list[str]:
        """Why each row is shown as it is, in words."""
        if len(self.looks) == 1:
            return ["there is no look but the original"] * len(self.choice)
        best = np.where(self.accepted, self.score, -np.inf)[:, 1:].argmax(axis=1) + 1
        wished = self.score[:, 1:].argmax(axis=1) + 1
        return [self._reason(row, int(best[row]), int(wished[row])) for row in range(len(self.choice))]

    def to_frame(self) -> pd.DataFrame:
        """The recommendations' columns, gain and reason."""
        return self.recommendations.to_frame().assign(gain=self.gain, reason=self.reasons())

    def to_text(self) -> str:
        """One line for people: how many items are shown in which look, and what it gains."""
        counts = np.bincount(self.choice, minlength=len(self.looks))
        parts = ", ".join(f"{name} {count}" for name, count in zip(self.looks, counts, strict=True))
        restyled = self.choice > 0
        gain = (
            f"; restyled items score {self.gain[restyled].mean():.3g} above their originals" if restyled.any() else ""
        )
        return f"{len(self.choice)} items shown: {parts}{gain}"

    def _reason(self, row: int, best: int, wished: int) -> str:
        above = self.score[row] - self.score[row, 0]
        if self.choice[row]:
            chosen = self.choice[row]
            return f"{self.looks[chosen]} scores {above[chosen]:.3g} above the original; guard accepted"
        if above[wished] > self.margin and not self.accepted[row, wished]:
            why = self.refusal[row, wished] or "there is no such picture"
            return f"{self.looks[wished]} scores {above[wished]:.3g} above the original, but the guard refused: {why}"
        if not self.accepted[row, best]:
            return "no look is accepted for this item"
        needed = f", less than the margin of {self.margin:.3g}" if above[best] > 0 else ""
        side = "above" if above[best] > 0 else "below" if above[best] < 0 else "apart from"
        return f"{self.looks[best]}, the best accepted look, scores {abs(above[best]):.3g} {side} the original{needed}"


def choose_presentation(
    recs: Recommendations, models: Mapping[str, Scorer], presentations: Presentations, *, margin: float = 0.0
) -> Shown:
    """Show every recommended item in the accepted look of highest predicted score, else as it is.

    The models must be one and the same with exchanged item features (`with_item_features`): only then are scores of
    different looks comparable. Who is recommended what stays as it is; only how it is shown changes. Of equal looks the
    original comes first, then the order of ``models``.

    Args:
        recs: What was recommended.
        models: Look → the model seeing the catalogue in that look; ``original`` must be among them.
        presentations: The guard's judgement of every (item, look); a pair it lacks is not shown.
        margin: A look must score more than this above the original, on the model's scale.

    Raises:
        ConfigError: ``original`` is missing, or ``margin`` is negative.
        DataError: A score is not finite.
        UnknownIdError: A model does not know a user or an item.
    """
    if ORIGINAL not in models:
        raise ConfigError(f"models must hold {ORIGINAL!r} to compare looks with, got {', '.join(models) or 'none'}")
    if not 0 <= margin < np.inf:
        raise ConfigError(f"margin must be >= 0, got {margin}; 0 shows whatever scores highest")
    looks = (ORIGINAL, *(name for name in models if name != ORIGINAL))
    score = np.column_stack([pair_scores(models[name], recs.user_id, recs.item_id) for name in looks])
    accepted, refusal = _judgement(presentations, looks, recs.item_id)
    hurdle = np.where(accepted, score, -np.inf)
    hurdle[:, 1:] = np.where(score[:, 1:] - score[:, :1] > margin, hurdle[:, 1:], -np.inf)
    choice = hurdle.argmax(axis=1).astype(np.int64)
    shown = replace(recs, presentation=np.asarray(looks, dtype=object)[choice])
    return Shown(shown, looks, score, accepted, choice, refusal, margin)


def pair_scores(model: Scorer, user_id: npt.NDArray[Any], item_id: npt.NDArray[Any]) -> Doubles:
    """(n,) score of every (user, item) row; users are scored in batches, each against the items of its rows.

    Raises:
        DataError: A score is not finite.
        UnknownIdError: A user or item is unknown.
    """
    user, users = pd.factorize(user_id)
    out = np.empty(len(user), np.float64)
    order = np.argsort(user, kind="stable")
    edges = np.searchsorted(user[order], np.arange(0, len(users) + USERS, USERS))
    for number in range(len(edges) - 1):
        rows = order[edges[number] : edges[number + 1]]
        item, items = pd.factorize(item_id[rows])
        first = number * USERS
        block = model.scores(users[first : first + USERS], items)
        out[rows] = block[user[rows] - first, item]
    if not np.isfinite(out).all():
        raise DataError("scores hold NaN or infinity; the model's parameters are damaged or have diverged")
    return out


def _judgement(
    presentations: Presentations, looks: tuple[str, ...], item_id: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """(n, n_looks) acceptance (the original is always accepted) and the reasons of refusals."""
    item, items = pd.factorize(item_id)
    ids, frame = IdMap.of(items), presentations.frame
    accepted, refusal = np.zeros((len(ids), len(looks)), bool), np.full((len(ids), len(looks)), "", dtype=object)
    accepted[:, 0] = True
    for column, look in enumerate(looks[1:], start=1):
        rows = frame[frame["look"] == look]
        place = ids.positions(rows["item_id"].to_numpy(dtype=object))
        known = place >= 0
        accepted[place[known], column] = rows["accepted"].to_numpy(bool)[known]
        refusal[place[known], column] = rows["reason"].fillna("").to_numpy(dtype=object)[known]
    return accepted[item], refusal[item]
