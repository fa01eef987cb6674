"""The feedback loop against worlds whose course is known, and conservation of what was shown."""

from typing import Any

import numpy as np
import pytest

from evaluation.response import RESPONSES, PositionBased
from evaluation.response.feedback import FeedbackConfig, Seen, by_click_rate, simulate_feedback
from evaluation.simulate import ABConfig, Arm
from recsys.config import from_mapping
from recsys.errors import ConfigError, DataError


def pools(users: int = 200, m: int = 20, items: int = 100) -> tuple[Arm, Arm]:
    rng = np.random.default_rng(0)
    pool = np.argsort(rng.random((users, items)), axis=1)[:, :m]
    plain = rng.normal(-1.5, 0.6, (users, m)).astype(np.float32)
    look = rng.normal(0.2, 0.7, items).astype(np.float32)[pool]
    return Arm("a", pool, plain), Arm("b", pool, plain + look)


def config(rounds: int = 5, response: str = "position-based", **feedback: Any) -> ABConfig:
    table = FeedbackConfig(rounds=rounds, pool=20, **feedback)
    return ABConfig(users=4000, slate=5, response=response, feedback=table)


def top(arm: Arm, scores: np.ndarray, k: int = 5) -> np.ndarray:
    return np.take_along_axis(arm.odds(), np.argsort(-scores, axis=1, kind="stable")[:, :k], axis=1)


@pytest.mark.parametrize("response", RESPONSES)
def test_a_recommender_that_does_not_listen_makes_no_bias(response: str) -> None:
    control, treatment = pools()
    settings = config(response=response, strength=0.0)
    found = simulate_feedback(control, treatment, settings, seed=1)
    user = np.random.default_rng(1).integers(0, 200, size=4000)
    clicks = [settings.make_response().probability(top(a, control.odds())).sum(axis=1)[user].mean() for a in pools()]
    for row in found.rounds:
        assert [row["control"], row["treatment"]] == pytest.approx(clicks)
    assert found.truth == pytest.approx(clicks[1] / clicks[0] - 1)
    assert found.bias == pytest.approx(0, abs=1e-12)


def test_worlds_of_the_same_pictures_are_one_world() -> None:
    control, _ = pools()
    found = simulate_feedback(control, control, config(rounds=6), seed=0)
    assert found.truth == found.test == 0
    for row in found.rounds:
        assert row["control"] == row["treatment"] == row["test_control"] == row["test_treatment"]
        assert row["top_share_control"] == row["top_share_treatment"]


def test_a_recommender_that_learns_the_truth_reaches_the_best_pages_in_the_next_round() -> None:
    control, treatment = pools()
    settings = config(rounds=3)
    found = simulate_feedback(control, treatment, settings, seed=2, retrain=lambda seen: treatment.odds())
    user = np.random.default_rng(2).integers(0, 200, size=4000)
    model = PositionBased()
    best = model.probability(top(treatment, treatment.odds())).sum(axis=1)[user].mean()
    first = model.probability(top(treatment, control.odds())).sum(axis=1)[user].mean()
    assert [row["treatment"] for row in found.rounds] == pytest.approx([first, best, best])
    assert best > 1.1 * first


def test_recommenders_see_what_was_shown_in_their_world_and_no_more() -> None:
    control, treatment = pools()
    told: list[Seen] = []

    def listen(seen: Seen) -> np.ndarray:
        told.append(seen)
        return np.asarray(seen.scores)

    simulate_feedback(control, treatment, config(rounds=2), seed=0, retrain=listen)
    assert [seen.shown.sum() for seen in told] == [20_000] * 3 + [
        40_000
    ] * 3  # 4,000 customers × 5 places, three worlds
    assert all((seen.clicked <= seen.shown).all() for seen in told)
    one, other, both = (seen.clicked for seen in told[3:])
    # The same pages and luck in all worlds: a test's clicks are control's on one half and treatment's on the other.
    assert min(one.sum(), other.sum()) < both.sum() < max(one.sum(), other.sum())


def test_shared_lists_hide_a_part_of_what_a_look_does_to_them() -> None:
    # Both arms' lists learn from both; a roll-out's lists learn from looks alone, so they find more of what suits.
    found = simulate_feedback(*pools(), config(rounds=8), seed=0)
    assert found.truth is not None
    assert found.bias is not None
    assert found.bias < -0.02
    still = simulate_feedback(*pools(), config(rounds=8, strength=0.0), seed=0)
    assert found.truth > still.truth + 0.05
    last = found.rounds[-1]
    assert last["top_share_treatment"] > found.rounds[0]["top_share_treatment"]  # the rich get richer


def test_a_seed_is_a_world() -> None:
    first, again, other = (simulate_feedback(*pools(), config(), seed=s) for s in (3, 3, 4))
    assert first == again or first.to_json() == again.to_json()
    assert first.to_json() != other.to_json()


def test_click_rates_are_shrunk_towards_the_average() -> None:
    seen = Seen(np.array([[0, 1, 2, -1]]), np.zeros((1, 4)), np.array([100, 100, 0.0]), np.array([30, 10, 0.0]))
    found = by_click_rate(FeedbackConfig(strength=2.0, prior_clicks=20))(seen)[0]
    # Average 0.2, 20 clicks are 100 impressions: rates 0.25, 0.15 and 0.2.
    odds = np.array([0.25, 0.15, 0.2]) / (1 - np.array([0.25, 0.15, 0.2]))
    assert found[:3] == pytest.approx(2 * np.log(odds / 0.25))
    assert found[3] == 0


def test_odd_pools_and_nonsense_are_met() -> None:
    short = Arm("a", np.array([[0, 1, -1], [-1, -1, -1]]), np.zeros((2, 3), np.float32))
    found = simulate_feedback(short, short, config(), seed=0)
    assert found.truth == 0
    nothing = Arm("a", np.array([[-1]]), np.zeros((1, 1), np.float32))
    assert simulate_feedback(nothing, nothing, config(), seed=0).truth is None
    control, treatment = pools()
    moved = Arm("b", treatment.items[:, ::-1].copy(), treatment.log_odds)
    with pytest.raises(DataError, match="must hold the same products"):
        simulate_feedback(control, moved, config(), seed=0)
    with pytest.raises(DataError, match="without NaN"):
        simulate_feedback(control, treatment, config(), seed=0, retrain=lambda seen: seen.scores * np.nan)
    for table, message in (
        ({"rounds": -1}, "rounds >= 0"),
        ({"strength": float("inf")}, "finite strength"),
        ({"prior_clicks": 0.0}, "prior_clicks above 0"),
        ({"rounds": 2, "pool": 4}, "pool must be at least ab.slate, 10, got 4"),
    ):
        with pytest.raises(ConfigError, match=message):
            from_mapping(ABConfig, {"feedback": table}, where="ab")
