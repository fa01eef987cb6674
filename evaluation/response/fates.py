"""Customers meet pages: clicks and what follows, session by session, with luck that serves every arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evaluation.response.base import Bools, ResponseModel
from evaluation.response.luck import own_luck, own_rows
from evaluation.response.purchases import sums

if TYPE_CHECKING:
    from evaluation.ab_config import ABConfig

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Luck = npt.NDArray[np.float32]
CLICKS: dict[str, type] = {"clicks": np.int64, "sessions_with_click": np.int64}
MONEY: dict[str, type] = {"purchases": np.int64, "revenue": np.float64, "returns": np.int64, "net_revenue": np.float64}
OWN, VISIT = 6, (7, 8)
"""Streams of luck of customers seeded one by one: who they are; their visits during the test, and before."""
BUYING = (3, 4)
"""Streams of luck with purchases: during the test, before it."""


@dataclass(frozen=True, eq=False)
class Pages:
    """What an arm shows study users, laid out for many visits: places first, users side by side.

    Attributes:
        model: How a page is clicked.
        odds: (n_users, K) log-odds, -inf in empty places.
        thresholds: (K, n_users) float32 of the model, for visits that are all alike.
        look: (K, n_users) 1 where a look is shown, else 0.
        shown: (n_users,) products on the page.
        buying: (n_users, K) P(buy | click); None: nobody buys.
        returning: (n_users, K) P(return | buy).
        price: (n_users, K).
    """

    model: ResponseModel
    odds: Floats
    thresholds: Luck
    look: Luck
    shown: Ints
    buying: Floats | None
    returning: Floats
    price: Floats

    @classmethod
    def of(
        cls,
        model: ResponseModel,
        odds: Floats,
        *,
        look: Bools,
        buying: Floats | None,
        returning: Floats,
        price: Floats,
    ) -> Pages:
        """From (n_users, K) arrays."""
        thresholds = np.ascontiguousarray(model.thresholds(odds).T, np.float32)
        flags = np.ascontiguousarray(look.T, np.float32)
        shown = (~np.isneginf(odds)).sum(axis=1).astype(np.int64)
        return cls(model, odds, thresholds, flags, shown, buying, returning, price)

    @property
    def users(self) -> int:
        """Study users."""
        return len(self.odds)

    @property
    def places(self) -> int:
        """Places on a page."""
        return int(self.odds.shape[1])


@dataclass(frozen=True, eq=False)
class Customers:
    """Who takes part.

    Attributes:
        user: (n,) the study user each was drawn as.
        seed: Of the simulation.
        config: Its settings.
    """

    user: Ints
    seed: int
    config: ABConfig

    @property
    def counted(self) -> dict[str, type]:
        """What is counted of a customer, beside sessions and impressions."""
        return CLICKS | ({} if self.config.purchases.is_off else MONEY)


@dataclass(frozen=True, eq=False)
class Period:
    """The sessions of a block of customers, with their luck.

    Attributes:
        customers: All of them.
        owner: (s,) customer of each session, ascending.
        number: (s,) of the customer's session, from 0.
        sessions: (n,) of each customer of the block.
        first: First customer of the block.
        luck: (K, s).
        before: Whether it is the time before the test.
    """

    customers: Customers
    owner: Ints
    number: Ints
    sessions: Ints
    first: int
    luck: Luck
    before: bool

    @classmethod
    def of(
        cls,
        customers: Customers,
        part: slice,
        sessions: Ints,
        places: int,
        rng: np.random.Generator,
        *,
        before: bool = False,
    ) -> Period:
        """Draw the luck of a block's sessions."""
        owner = np.repeat(np.arange(part.start, part.stop), sessions)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(sessions) - sessions, sessions)
        if customers.config.seeded_by == "customer":
            luck = own_rows(customers.seed, VISIT[before], owner, number, rows=places)
        else:
            luck = rng.random((places, len(owner)), dtype=np.float32)
        return cls(customers, owner, number, sessions, part.start, luck, before)

    def meet(self, pages: Pages) -> tuple[dict[str, npt.NDArray[Any]], dict[str, float] | None]:
        """What each customer did on these pages, and where visits differ what was expected of all, luck averaged out.

        Ranks are the outer axis and sessions lie side by side, because K is small and sessions are many.
        """
        who = self.customers.user[self.owner]
        if self.customers.config.visits.is_off:
            thresholds, chance = pages.thresholds.take(who, axis=1), None
        else:
            odds = self._odds(pages, who)
            thresholds = pages.model.thresholds(odds).T.astype(np.float32)
            chance = self._expected(pages, odds, who)
        clicks = pages.model.read(thresholds.T, self.luck.T).T
        counts = {"clicks": clicks.sum(axis=0, dtype=np.int32), "sessions_with_click": clicks.any(axis=0)}
        found = {name: self._of_customers(values) for name, values in counts.items()}
        if pages.buying is not None:
            found |= self._purchases(pages, clicks, who)
        return found, chance

    def _odds(self, pages: Pages, who: Ints) -> Floats:
        """(s, K) log-odds of each session's page."""
        config = self.customers.config
        odds = pages.odds[who] + config.visits.page_shift(self.number)[:, None]
        if not self.before:
            shift = config.visits.look_shift(config.style_effect, self.owner, self.number, self.customers.seed)
            odds += shift[:, None] * pages.look.T[who]
        return np.asarray(odds)

    def _expected(self, pages: Pages, odds: Floats, who: Ints) -> dict[str, float]:
        probability = pages.model.probability(odds)
        found = {"clicks": probability, "sessions_with_click": pages.model.any_click(odds)}
        if pages.buying is not None:
            found |= sums(probability, pages.buying[who], pages.returning[who], pages.price[who])
        return {name: float(values.sum()) for name, values in found.items()}

    def _of_customers(self, values: npt.NDArray[Any]) -> Ints:
        """(n,) sums over each customer's sessions."""
        found = np.zeros(len(self.sessions), np.int64)
        there = np.flatnonzero(self.sessions)
        if len(there):
            starts = (np.cumsum(self.sessions) - self.sessions)[there]
            found[there] = np.add.reduceat(values, starts, dtype=np.int64)
        return found

    def _purchases(self, pages: Pages, clicks: Bools, who: Ints) -> dict[str, npt.NDArray[Any]]:
        """Of the clicked places alone; one number says whether a product is bought and whether it comes back."""
        assert pages.buying is not None
        place, session = np.nonzero(clicks)
        at = (who[session], place)
        stream = BUYING[self.before]
        luck = own_luck(self.customers.seed, stream, self.owner[session], self.number[session], place)
        bought = luck < pages.buying[at]
        back = luck < pages.buying[at] * pages.returning[at]
        price = pages.price[at]
        customer, n = self.owner[session] - self.first, len(self.sessions)
        flags = {
            "purchases": bought,
            "revenue": bought * price,
            "returns": back,
            "net_revenue": (bought & ~back) * price,
        }
        found = {name: np.bincount(customer, weights=values, minlength=n) for name, values in flags.items()}
        return {name: values.astype(MONEY[name]) for name, values in found.items()}


def expected_counts(pages: Pages) -> dict[str, Floats]:
    """(n_users,) what is expected of a session, where every visit is alike."""
    probability = pages.model.probability(pages.odds)
    found = {"clicks": probability.sum(axis=1), "sessions_with_click": pages.model.any_click(pages.odds)}
    if pages.buying is not None:
        after = sums(probability, pages.buying, pages.returning, pages.price)
        found |= {name: values.sum(axis=1) for name, values in after.items()}
    return found
