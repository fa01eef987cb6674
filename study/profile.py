"""A readable style profile of every user: shares of styles in their history, with intervals from its size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from scipy.stats import beta

from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError, DataError, unknown_name
from study.learning import dataset_of
from study.run import Study
from study.stages.features import table_for
from style.classify.classifier import Classifier

Floats = npt.NDArray[np.float64]
NAMED = 3
"""Styles that a sentence names."""


@dataclass(frozen=True, eq=False)
class StyleProfiles:
    """Which styles users' items have in the long run, by what is known of them.

    Few items say little, so a user's shares are drawn towards the average user's: (n own + a average) / (n + a), where
    the average counts as ``a`` items, the ratio of variances within and between users (Bühlmann and Straub 1970). For
    items of one certain style each this is the posterior mean of a Dirichlet prior. The interval of each style is a
    beta distribution's, of that mean and of the credibility estimator's expected squared error; about ``level`` of
    all users' true shares lie in theirs.

    Attributes:
        users: The users.
        styles: k names.
        items: (n_users,) distinct items of a known style in each history.
        share: (n_users, k) in 0 … 1; of users without history, the average's.
        low: (n_users, k) lower ends.
        high: (n_users, k) upper ends.
        average: (k,) of the average user.
        prior: The number of items that the average counts as.

    Example:
        >>> history = sp.csr_array(np.array([[1, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], np.float32))
        >>> shares = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
        >>> made = StyleProfiles.of(IdMap.of("abc"), ("plain", "retro"), history, shares)
        >>> made.items.tolist(), made.share.sum(axis=1).round(6).tolist()
        ([3, 2, 2], [1.0, 1.0, 1.0])
    """

    users: IdMap
    styles: tuple[str, ...]
    items: npt.NDArray[np.int64]
    share: Floats
    low: Floats
    high: Floats
    average: Floats
    prior: float

    @classmethod
    def of(
        cls,
        users: IdMap,
        styles: tuple[str, ...],
        history: sp.csr_array,
        shares: npt.ArrayLike,
        *,
        level: float = 0.95,
    ) -> StyleProfiles:
        """From histories and what each item's style is.

        Args:
            users: n_users.
            styles: k names.
            history: (n_users, n_items); what is stored counts once, whatever its weight.
            shares: (n_items, k) probabilities of each item's styles; a row of zeros is an item of unknown style.
            level: Of the intervals.

        Raises:
            ConfigError: ``level`` is not between 0 and 1.
            DataError: Shares outside 0 … 1 or of the wrong shape, or fewer than two users with two styled items.
        """
        if not 0 < level < 1:
            raise ConfigError(f"level must be between 0 and 1, got {level}")
        x = np.asarray(shares, np.float64)
        if x.shape != (history.shape[1], len(styles)) or not ((x >= 0) & (x <= 1 + 1e-6)).all():
            raise DataError(f"shares must be {(history.shape[1], len(styles))} values in 0 … 1, got shape {x.shape}")
        seen = sp.csr_array((np.ones(history.nnz), history.indices, history.indptr), shape=history.shape)
        known = np.asarray(x.any(axis=1), np.float64)
        n: Floats = np.asarray(seen @ known, np.float64)
        if (n >= 2).sum() < 2:
            raise DataError(
                f"profiles need 2 users with 2 items of a known style, got {(n >= 2).sum()}; style more items"
            )
        own = np.asarray(seen @ x) / np.maximum(n, 1)[:, None]
        within, between = _variances(own, n, np.asarray(seen @ np.square(x)).sum(axis=0))
        prior = float(within.sum() / between.sum())
        trust = (n / (n + prior))[:, None]
        average = np.asarray((trust * own).sum(axis=0) / trust.sum())
        share = trust * own + (1 - trust) * average
        size = _size(trust, n[:, None], average * (1 - average), (within, between))
        tail = (1 - level) / 2
        a, b = np.maximum(size * share, 1e-12), np.maximum(size * (1 - share), 1e-12)
        ends = [np.asarray(beta.ppf(q, a, b)) for q in (tail, 1 - tail)]
        low, high = np.minimum(ends[0], share), np.maximum(ends[1], share)  # a skewed beta may leave its mean out
        return cls(users, styles, n.astype(np.int64), share, low, high, average, prior)

    def items_of(self, user: str) -> int:
        """How many items the user's profile rests on.

        Raises:
            UnknownIdError: There is no such user.
        """
        return int(self.items[int(self.users.encode([user])[0])])

    def to_frame(self, user: str) -> pd.DataFrame:
        """The user's styles, the largest share first: style, share, low, high, average.

        Raises:
            UnknownIdError: There is no such user.
        """
        at = int(self.users.encode([user])[0])
        columns = {"share": self.share[at], "low": self.low[at], "high": self.high[at], "average": self.average}
        frame = pd.DataFrame({"style": self.styles, **columns})
        return frame.sort_values("share", ascending=False, kind="stable").reset_index(drop=True)

    def rows(self, user: str) -> list[dict[str, Any]]:
        """`to_frame` as plain values."""
        return [dict(zip(map(str, row), row.values(), strict=True)) for row in self.to_frame(user).to_dict("records")]

    def to_text(self, user: str) -> str:
        """The profile as a sentence or two.

        Raises:
            UnknownIdError: There is no such user.
        """
        n = self.items_of(user)
        if not n:
            return f"Nothing is known of {user}'s style yet; shown is the average customer."
        frame = self.to_frame(user)
        top = "; ".join(f"{r.share:.0%} {r.style} ({r.low:.0%} to {r.high:.0%})" for r in frame[:NAMED].itertuples())
        more = frame.loc[frame["low"] > frame["average"], "style"].tolist()
        less = frame.loc[frame["high"] < frame["average"], "style"].tolist()
        words = [f"{word} {', '.join(some[:NAMED])}" for word, some in (("more", more), ("less", less)) if some]
        than = f"Surely {' and '.join(words)} than" if words else "Not surely different from"
        return f"From {n} item{'s' * (n > 1)}: {top}. {than} the average customer."


def profiles_of(run: Path, *, classifier: Path | None = None, column: str = "", level: float = 0.95) -> StyleProfiles:
    """Profiles of all users of a finished study, by a classifier of styles or a column of the catalogue.

    Args:
        run: The study's folder.
        classifier: Folder that ``stylerec style classify train`` wrote; the study has the blocks it reads.
        column: A column of the catalogue with one style an item, such as ``classify predict`` writes; blank is unknown.
        level: Of the intervals.

    Raises:
        ConfigError: Both of classifier and column, or neither.
        DataError: No such column, a block is missing, or too little history.
    """
    if (classifier is None) == (not column):
        raise ConfigError("a profile needs either a classifier of styles or a column of the catalogue")
    study = Study.open(run)
    data: Dataset = dataset_of(study)
    frame = Catalog.load(study.folder / "catalog.parquet").frame
    if classifier is not None:
        known = Classifier.load(classifier)
        table = table_for(study, ORIGINAL).select(known.scaling.blocks)
        styles, values = known.classes, known.predict(table).probabilities
        values = values * np.any([_filled(block.values) for block in table.blocks], axis=0)[:, None]
    else:
        if column not in frame:
            raise DataError(unknown_name("column of the catalogue", column, map(str, frame.columns)))
        words = frame[column].astype(object).where(frame[column].notna(), "").astype(str)
        styles = tuple(sorted(set(words) - {""}))
        values = (words.to_numpy()[:, None] == np.asarray(styles, dtype=object)).astype(np.float64)
    place = IdMap.of(frame["item_id"]).encode(data.items.ids)
    return StyleProfiles.of(data.users, styles, data.matrix, values[place], level=level)


def _variances(own: Floats, n: Floats, squares: Floats) -> tuple[Floats, Floats]:
    """(k,) variance within and between users of each style, by one-way analysis of variance.

    Between is taken to be at least ``within`` / N: the average of N items cannot be known better than by N items.
    """
    users, total = int((n > 0).sum()), float(n.sum())
    mean = (n[:, None] * own).sum(axis=0) / total
    inside = (n[:, None] * np.square(own)).sum(axis=0)
    within = np.maximum((squares - inside) / (total - users), 1e-9)
    among = (inside - total * np.square(mean)) / (users - 1)
    usual = (total - float(np.square(n).sum()) / total) / (users - 1)
    return within, np.maximum((among - within) / usual, within / total)


def _size(trust: Floats, n: Floats, spread: Floats, variances: tuple[Floats, Floats]) -> Floats:
    """(n_users, k) a + b of the beta distributions: their mean variance is the estimator's squared error."""
    within, between = variances
    noise = np.square(trust) * within / np.maximum(n, 1)
    error = noise + np.square(1 - trust) * between
    return np.asarray(np.maximum((spread - np.square(trust) * between - noise) / error - 1, 1e-6))


def _filled(values: npt.NDArray[np.float32] | sp.csr_array) -> npt.NDArray[np.bool_]:
    """(n,) rows that are not all 0, as those of items without a photo are."""
    rows = np.diff(sp.csr_array(values).indptr) if sp.issparse(values) else np.any(values, axis=1)
    return np.asarray(rows, np.bool_)
