"""From items to what a customer is shown: each product's look, its chance, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.designs.assignment import assign, hashed
from recsys.errors import ConfigError, unknown_name
from recsys.models.fitted import FittedModel
from recsys.topk import Floats, Ints
from shop.policy import Choice
from shop.settings import ShopConfig
from shop.snapshot import NEWCOMER, Snapshot
from shop.tally import ARMS, Tally

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shown:
    """A list of products for one customer, each in its look.

    Attributes:
        user_id: Whom; "" for a stranger.
        segment: The look the customer leans to, ``new`` or ``all``.
        arm: control or treatment; None without a test.
        items: (k,) indices.
        scores: (k,) the model's.
        look: (k,) positions in the snapshot's looks.
        propensity: (k,) chance of that look for this customer and item, over the draw of the arm as well; None where
            the customer chose the look.
        reasons: Why that look, in words.
    """

    user_id: str
    segment: str
    arm: str | None
    items: Ints
    scores: Floats
    look: Ints
    propensity: Doubles | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Showroom:
    """Everything on which the choice of a look rests."""

    snapshot: Snapshot
    tally: Tally
    choice: Choice
    config: ShopConfig

    def show(
        self, user_id: str, items: Ints, scores: Floats, *, look: str = "", history: Sequence[str] | None = None
    ) -> Shown:
        """Choose the look of every item.

        Args:
            user_id: Whom; of a stranger any name, or "".
            items: (k,) indices.
            scores: (k,) the model's.
            look: What the customer asked for; it is shown where it was accepted.
            history: Of a stranger: what the recommendations rest on.

        Raises:
            ConfigError: There is no such look.
        """
        segment = self.snapshot.segment(user_id)
        if look:
            if look not in self.snapshot.looks:
                raise ConfigError(unknown_name("look", look, self.snapshot.looks))
            wanted = np.full(len(items), self.snapshot.looks.index(look))
            chosen = np.where(self.snapshot.items.accepted[items, wanted], wanted, 0)
            return Shown(user_id, segment, self.arm(user_id), items, scores, chosen, None, ("asked for",) * len(items))
        chances, why = self._chances(user_id, segment, items, history)
        arm = self.arm(user_id)
        if arm == ARMS[0]:
            chosen = np.zeros(len(items), np.int64)
            why = [f"in the control group of {self.config.experiment}, which sees originals"] * len(items)
        else:
            chosen = self._drawn(user_id, items, chances)
        if arm is not None:
            treated = self.config.allocation
            chances = treated * chances
            chances[:, 0] += 1 - treated
        if self.config.policy.name != "best" and arm != ARMS[0]:
            why = [self._drawn_why(look, segment) for look in chosen]
        propensity = chances[np.arange(len(items)), chosen]
        return Shown(user_id, segment, arm, items, scores, chosen, propensity, tuple(why))

    def arm(self, user_id: str) -> str | None:
        """By a salted hash; None without a test, and for strangers without a name."""
        if not self.config.experiment or not user_id:
            return None
        return ARMS[int(assign([user_id], self.config.experiment, self.config.allocation)[0])]

    def _chances(
        self, user_id: str, segment: str, items: Ints, history: Sequence[str] | None
    ) -> tuple[Doubles, list[str]]:
        """(k, n_looks) of treatment, and why the best is the best."""
        accepted = self.snapshot.items.accepted[items]
        if self.config.policy.name == "best":
            best, why = self._best(user_id, segment, items, history)
            chances = np.zeros(accepted.shape)
            chances[np.arange(len(items)), best] = 1.0
            return chances, why
        rows = [self.choice.chances(self.tally, segment, allowed) for allowed in accepted]
        return np.stack(rows) if rows else np.zeros(accepted.shape), [""] * len(items)

    def _drawn(self, user_id: str, items: Ints, chances: Doubles) -> Ints:
        """One look an item, by a hash of customer and item: a page that is loaded again looks the same."""
        if self.config.policy.name == "best":
            return np.asarray(chances.argmax(axis=1), np.int64)
        ids = self.snapshot.fitted.items.ids[items]
        at = hashed([f"{user_id}\x1f{item}" for item in ids], f"look:{self.config.policy.seed}")
        ends = np.cumsum(chances, axis=1)
        passed = (ends <= at[:, None] * ends[:, -1:]).sum(axis=1)
        last = chances.shape[1] - 1 - (chances[:, ::-1] > 0).argmax(axis=1)
        return np.asarray(np.minimum(passed, last), np.int64)

    def _drawn_why(self, look: int, segment: str) -> str:
        whom = {NEWCOMER: "new customers", "all": "customers"}.get(segment, f"customers who lean to {segment}")
        return f"{self.snapshot.looks[look]} drawn by {self.config.policy.name} for {whom}"

    def _best(self, user_id: str, segment: str, items: Ints, history: Sequence[str] | None) -> tuple[Ints, list[str]]:
        """As `study.serving.present`: by the model that sees the looks, else by what the history leans to."""
        snapshot = self.snapshot
        accepted = snapshot.items.accepted[items]
        if snapshot.by_look and len(items):
            scores = np.where(accepted, self._look_scores(user_id, items, history), -np.inf)
            best = scores.argmax(axis=1)
            gain = scores.max(axis=1) - scores[:, 0]
            return best, [self._gain(look, float(g)) for look, g in zip(best, gain, strict=True)]
        if snapshot.taste is None or segment not in snapshot.looks:
            word = "there is no look but the original" if snapshot.taste is None else "nothing is known of the taste"
            return np.zeros(len(items), np.int64), [word] * len(items)
        wanted = snapshot.looks.index(segment)
        fits = accepted[:, wanted]
        words = (f"the history leans to {segment}, which was refused for this item", f"the history leans to {segment}")
        return np.where(fits, wanted, 0), [words[int(ok)] for ok in fits]

    def _gain(self, look: int, gain: float) -> str:
        if look == 0:
            return "no accepted look scores above the original"
        return f"{self.snapshot.looks[look]} scores {gain:.3g} above the original"

    def _look_scores(self, user_id: str, items: Ints, history: Sequence[str] | None) -> Doubles:
        """(k, n_looks) scores of the items in every look."""
        snapshot = self.snapshot
        if history is not None:
            columns = [_scores_for(model, history, items) for model in snapshot.by_look.values()]
            return np.stack(columns, axis=1)
        if snapshot.points is not None and snapshot.search.queries is not None:
            query = snapshot.search.queries[snapshot.place(user_id)]
            return np.asarray((snapshot.points[:, items] @ query).T, np.float64)
        ids = snapshot.fitted.items.ids[items]
        return np.stack([model.scores([user_id], ids)[0] for model in snapshot.by_look.values()], axis=1).astype(float)


def _scores_for(model: FittedModel, history: Sequence[str], items: Ints) -> Doubles:
    """(k,) what a stranger with this history gives the items."""
    ids = model.items.ids[items]
    found = model.recommend_for({"": history}, k=len(items), exclude_seen=False, allow=list(ids))
    score = dict(zip(found.item_id, found.score, strict=True))
    return np.array([score[item] for item in ids], np.float64)
