"""The log of a policy that chose by chance: what it showed, how likely that was, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.ids import IdMap
from recsys.data.rejected import reject
from recsys.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class BanditLog:
    """Rounds of a logged policy: in each, one action was drawn for one place.

    An action is whatever a policy chooses among: items, or the presentations of an item. What a policy may look
    at before it chooses is the context; equal contexts are one row of ``contexts``, so that what depends on
    the context alone is computed once.

    Attributes:
        actions: Every action that could have been drawn; position = index.
        action: (n,) int64, what was drawn, in [0, n_actions).
        reward: (n,) float64, finite; 1 and 0 for clicks.
        propensity: (n,) float64 in (0, 1]: the logged policy's probability of ``action``, in its context and
            place.
        position: (n,) int64 place on the page, from 0.
        context: (n,) int64 row of ``contexts``.
        contexts: (n_contexts, any) keys: user_id and the like, as text.
        features: (n_contexts, d) float32, finite: what a reward model sees of a context; d may be 0.
        n_positions: Places on the page.
        unit: (n,) int64 from 0: rounds of one unit (a user, a page) are dependent; None: all are independent.
        page: (n,) int64: rounds of one page were drawn together, each given those above it; None: not known.
        rejected: Rows of the source that were refused, and why; see `recsys.data.rejected.REJECTED`.

    Example:
        >>> log = BanditLog.of(action=[0, 1], reward=[1, 0], propensity=[0.5, 0.5], actions=["plain", "retro"])
        >>> len(log), log.n_actions, log.n_positions
        (2, 2, 1)
    """

    actions: IdMap
    action: Ints
    reward: Floats
    propensity: Floats
    position: Ints
    context: Ints
    contexts: pd.DataFrame
    features: Features
    n_positions: int = 1
    unit: Ints | None = None
    page: Ints | None = None
    rejected: pd.DataFrame = field(default_factory=lambda: reject("log"))

    def __post_init__(self) -> None:
        sizes = {name: len(getattr(self, name)) for name in ("action", "reward", "propensity", "position", "context")}
        sizes |= {name: len(v) for name in ("unit", "page") if (v := getattr(self, name)) is not None}
        if len(set(sizes.values())) > 1:
            raise DataError(f"the log's columns must have one length, got {sizes}")
        if not len(self.action):
            raise DataError("the log has no rounds; check the file and its columns")
        if len(self.features) != len(self.contexts):
            raise DataError(f"features of {len(self.features)} contexts, but the log has {len(self.contexts)}")
        ends = {"action": self.n_actions, "position": self.n_positions, "context": len(self.contexts)}
        for name, end in ends.items():
            _check_index(name, getattr(self, name), end)
        if not np.isfinite(self.reward).all() or not np.isfinite(self.features).all():
            raise DataError("rewards and features must be finite, got NaN or infinite; mend or leave those rows out")
        wrong = ~((self.propensity > 0) & (self.propensity <= 1))
        if wrong.any():
            raise DataError(
                f"propensities must be in (0, 1], got {self.propensity[wrong][0]} in {int(wrong.sum())} rounds; "
                "a log without them cannot be weighted"
            )

    @classmethod
    def of(
        cls,
        action: npt.ArrayLike,
        reward: npt.ArrayLike,
        propensity: npt.ArrayLike,
        *,
        actions: IdMap | list[str] | int,
        position: npt.ArrayLike | None = None,
        features: npt.ArrayLike | None = None,
        context: npt.ArrayLike | None = None,
        contexts: pd.DataFrame | None = None,
        unit: npt.ArrayLike | None = None,
        page: npt.ArrayLike | None = None,
        n_positions: int | None = None,
    ) -> BanditLog:
        """From arrays.

        Args:
            action: (n,) indices.
            reward: (n,).
            propensity: (n,).
            actions: Their names, or how many there are.
            position: (n,) from 0; one place when omitted.
            features: (n_contexts, d); where ``context`` is omitted, one row a round.
            context: (n,) rows of ``features`` or ``contexts``.
            contexts: Keys of the contexts.
            unit: (n,) any whole numbers; see the attribute.
            page: (n,) any whole numbers; see the attribute.
            n_positions: Places on the page; the largest of ``position`` + 1 when omitted.

        Raises:
            DataError: Lengths differ, or a value is out of range.
        """
        chosen = np.asarray(action, np.int64)
        n = len(chosen)
        place = np.zeros(n, np.int64) if position is None else np.asarray(position, np.int64)
        x = None if features is None else np.asarray(features, np.float32)
        if context is None:
            context = np.arange(n) if x is not None or contexts is not None else np.zeros(n, np.int64)
        rows = len(x) if x is not None else len(contexts) if contexts is not None else 1
        names = actions if isinstance(actions, IdMap) else IdMap.of(_names(actions))
        return cls(
            actions=names,
            action=chosen,
            reward=np.asarray(reward, np.float64),
            propensity=np.asarray(propensity, np.float64),
            position=place,
            context=np.asarray(context, np.int64),
            contexts=pd.DataFrame(index=range(rows)) if contexts is None else contexts,
            features=np.zeros((rows, 0), np.float32) if x is None else x,
            n_positions=int(place.max(initial=0)) + 1 if n_positions is None else n_positions,
            unit=None if unit is None else np.unique(np.asarray(unit), return_inverse=True)[1].astype(np.int64),
            page=None if page is None else np.asarray(page, np.int64),
        )

    @classmethod
    def from_obp(cls, feedback: Mapping[str, Any]) -> BanditLog:
        """From the dict ``bandit_feedback`` of the Open Bandit Pipeline (obp).

        Raises:
            DataError: It has no ``pscore``, or lacks another key.
        """
        missing = [key for key in ("n_actions", "action", "reward", "pscore") if feedback.get(key) is None]
        if missing:
            raise DataError(f"the feedback lacks {', '.join(missing)}; it has {', '.join(map(str, feedback))}")
        return cls.of(
            feedback["action"],
            feedback["reward"],
            feedback["pscore"],
            actions=int(feedback["n_actions"]),
            position=feedback.get("position"),
            features=feedback.get("context"),
        )

    def __len__(self) -> int:
        return len(self.action)

    @property
    def n_actions(self) -> int:
        """How many actions there are to choose from."""
        return len(self.actions)

    @property
    def n_units(self) -> int:
        """Independent units."""
        return len(self) if self.unit is None else int(self.unit.max()) + 1

    @property
    def n_refused(self) -> int:
        """Rows of the source that were refused."""
        return int(self.rejected["row"].nunique())

    def shown(self) -> npt.NDArray[np.bool_]:
        """(n_positions, n_actions): whether the log has the action in that place at all."""
        counts = np.bincount(self.position * self.n_actions + self.action, minlength=self.n_positions * self.n_actions)
        return np.asarray(counts.reshape(self.n_positions, self.n_actions) > 0)


def _names(actions: list[str] | int) -> list[str]:
    return [str(i) for i in range(actions)] if isinstance(actions, int) else list(actions)


def _check_index(name: str, values: Ints, end: int) -> None:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= end:
        raise DataError(f"{name} must be in [0, {end}), got {low if low < 0 else high}")
