"""Looks are drawn with the chances that are logged, and the chances follow the events."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from evaluation.designs.assignment import assign
from recsys.errors import ConfigError
from shop.events import Record
from shop.plan import shop_plan
from shop.policy import DRAWS, PRIOR, Choice, PolicyConfig
from shop.settings import ShopConfig
from shop.showing import Showroom
from shop.snapshot import Snapshot, open_snapshot
from shop.tally import Tally

LOOKS = ("original", "retro", "minimalist")
ALL = np.array([True, True, True])


def tally(**clicks_of: tuple[int, int]) -> Tally:
    shown = {("all", look): n for look, (n, _) in clicks_of.items()}
    return Tally("", shop_plan(0.5), shown=shown, clicked={("all", look): c for look, (_, c) in clicks_of.items()})


class TestChances:
    def test_thompson_is_the_chance_to_be_best(self) -> None:
        """Oracle: the integral of one look's density times the others' distribution functions."""
        counts = {"original": (100, 12), "retro": (80, 14), "minimalist": (60, 6)}
        found = Choice(PolicyConfig("thompson"), LOOKS).chances(tally(**counts), "all", ALL)
        posts = [stats.beta(PRIOR[0] + c, PRIOR[1] + n - c) for n, c in counts.values()]
        for i, own in enumerate(posts):
            others = [p for j, p in enumerate(posts) if j != i]
            exact = integrate.quad(lambda x: own.pdf(x) * np.prod([p.cdf(x) for p in others]), 0, 1)[0]  # noqa: B023
            assert found[i] == pytest.approx(exact, abs=4 * 0.5 / np.sqrt(DRAWS))
        assert found.sum() == pytest.approx(1)

    def test_what_is_not_allowed_has_no_chance_and_every_other_look_has_one(self) -> None:
        choice = Choice(PolicyConfig("thompson"), LOOKS)
        found = choice.chances(tally(retro=(10_000, 9_000)), "all", np.array([True, True, False]))
        assert found[2] == 0
        assert found[0] > 0
        assert found.sum() == pytest.approx(1)

    def test_epsilon_greedy(self) -> None:
        choice = Choice(PolicyConfig("epsilon-greedy", epsilon=0.3), LOOKS)
        found = choice.chances(tally(minimalist=(50, 25)), "all", ALL)
        assert found.tolist() == pytest.approx([0.1, 0.1, 0.8])
        # Nothing is known of new customers: all alike, and the original is the first of equals.
        assert choice.chances(tally(), "new", ALL).tolist() == pytest.approx([0.8, 0.1, 0.1])

    def test_events_change_the_chances(self) -> None:
        choice, counted = Choice(PolicyConfig("thompson"), LOOKS), tally()
        before = choice.chances(counted, "all", ALL)
        record = {"user_id": "u", "item_id": "i", "presentation": "retro", "timestamp": "t"}
        events = [Record(event=kind, **record) for kind in ("impression", "click") for _ in range(30)]
        counted.add(events, ["all"] * 60)
        assert choice.chances(counted, "all", ALL)[1] > 0.9 > 0.5 > before[1]

    def test_settings_are_checked(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'thompson'"):
            PolicyConfig("thomson")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="epsilon must be in"):
            PolicyConfig(epsilon=1.5)


@pytest.fixture(scope="module")
def snapshot(shop_study: Path) -> Snapshot:
    return open_snapshot(shop_study, "hybrid")


class TestShowroom:
    def room(self, snapshot: Snapshot, policy: PolicyConfig, experiment: str = "") -> Showroom:
        config = ShopConfig(Path("."), policy=policy, experiment=experiment, allocation=0.4)
        counted = Tally(experiment, shop_plan(0.4))
        return Showroom(snapshot, counted, Choice(policy, snapshot.looks), config)

    def test_looks_are_drawn_as_often_as_their_chances_say(self, snapshot: Snapshot) -> None:
        """A chi-squared test over strangers' draws for one item of which every look is accepted."""
        room = self.room(snapshot, PolicyConfig("epsilon-greedy", epsilon=0.6))
        item = np.flatnonzero(snapshot.items.accepted.all(axis=1))[:1]
        shown = [room.show(f"s{i}", item, np.ones(1, np.float32)) for i in range(3000)]
        counts = np.bincount([s.look[0] for s in shown], minlength=3)
        assert stats.chisquare(counts, 3000 * np.array([0.6, 0.2, 0.2])).pvalue > 0.001
        for one in shown[:50]:
            assert one.propensity is not None
            assert one.propensity[0] == pytest.approx([0.6, 0.2, 0.2][one.look[0]])

    def test_inverse_propensities_count_everybody_also_across_arms(self, snapshot: Snapshot) -> None:
        """Oracle: E[1{look} / propensity] = 1 for every look, over the draw of the arm and of the look."""
        room = self.room(snapshot, PolicyConfig("epsilon-greedy", epsilon=0.6), "spring")
        item = np.flatnonzero(snapshot.items.accepted.all(axis=1))[:1]
        weights = np.zeros((4000, 3))
        for i in range(len(weights)):
            one = room.show(f"s{i}", item, np.ones(1, np.float32))
            assert one.propensity is not None
            weights[i, one.look[0]] = 1 / one.propensity[0]
        error = weights.std(axis=0) / np.sqrt(len(weights))
        assert (abs(weights.mean(axis=0) - 1) < 4 * error).all()

    def test_arms_are_those_of_the_hash_and_control_sees_originals(self, snapshot: Snapshot) -> None:
        room = self.room(snapshot, PolicyConfig("thompson"), "spring")
        items = np.arange(10)
        for user, arm in zip(snapshot.fitted.users.ids, assign(snapshot.fitted.users.ids, "spring", 0.4), strict=True):
            shown = room.show(user, items, np.ones(10, np.float32))
            assert shown.arm == ("control", "treatment")[arm]
            if not arm:
                assert not shown.look.any()

    def test_nothing_refused_is_shown_and_a_page_looks_the_same_again(self, snapshot: Snapshot) -> None:
        for name in ("best", "epsilon-greedy", "thompson"):
            room = self.room(snapshot, PolicyConfig(name, epsilon=1.0))
            items = np.arange(len(snapshot.fitted.items))
            shown = room.show("u03", items, np.ones(len(items), np.float32))
            assert snapshot.items.accepted[items, shown.look].all()
            assert (room.show("u03", items, np.ones(len(items), np.float32)).look == shown.look).all()

    def test_a_look_asked_for_has_no_propensity(self, snapshot: Snapshot) -> None:
        room = self.room(snapshot, PolicyConfig("thompson"))
        shown = room.show("u03", np.arange(10), np.ones(10, np.float32), look="retro")
        assert shown.propensity is None
        assert [snapshot.looks[i] for i in shown.look] == ["original" if i % 5 == 0 else "retro" for i in range(10)]
        with pytest.raises(ConfigError, match="unknown look"):
            room.show("u03", np.arange(2), np.ones(2, np.float32), look="rétro")

    def test_models_without_vectors_are_asked_for_scores(self, snapshot: Snapshot) -> None:
        """The two ways to the best look agree."""
        room = self.room(snapshot, PolicyConfig("best"))
        slow = replace(snapshot)
        object.__setattr__(slow, "points", None)
        items = np.arange(len(snapshot.fitted.items))
        found = [r.show("u03", items, np.ones(len(items), np.float32)) for r in (room, replace(room, snapshot=slow))]
        assert found[0].look.any()
        assert found[0].look.tolist() == found[1].look.tolist()
