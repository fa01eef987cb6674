"""Team draft: the published algorithm replayed by hand, exact expectations, fairness and coverage."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.designs.interleaving import preference, rehearse_interleaving, team_draft
from evaluation.experiment.decision import analyze_log
from evaluation.inference import paired
from evaluation.response import Cascade, PositionBased
from evaluation.simulate import Arm
from recsys.errors import DataError

TESTS, USERS = 2000, 120


def by_the_book(a: list[int], b: list[int], coins: list[bool]) -> tuple[list[int], list[int]]:
    """Radlinski, Kurup and Joachims 2008, algorithm 2, as it is printed; a coin for each round."""
    items: list[int] = []
    teams: list[int] = []
    while len(items) < len(a) and set(a) - set(items) and set(b) - set(items):
        ours, theirs = teams.count(0), teams.count(1)
        a_picks = ours < theirs or (ours == theirs and not coins[len(items) // 2])
        team = 0 if a_picks else 1
        items.append(next(i for i in (a, b)[team] if i not in items))
        teams.append(team)
    return items, teams


@given(st.permutations(range(7)), st.permutations(range(7)), st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_draft_is_the_published_algorithm(a: list[int], b: list[int], coins: list[bool]) -> None:
    first, second = a[:5], b[:5]
    items, team, rank = team_draft(np.array([first]), np.array([second]), np.array([coins]))
    listed, teams = by_the_book(first, second, coins)
    assert items[0].tolist() == listed
    assert team[0].tolist() == teams
    assert [(first, second)[t][r] for t, r in zip(team[0], rank[0], strict=True)] == listed


def test_the_list_ends_where_a_ranker_has_nothing_left() -> None:
    a, b = np.array([[3, 1, -1, -1]]), np.array([[1, 3, 5, 7]])
    items, team, _ = team_draft(a, b, np.array([[False, False]]))
    assert (items[0].tolist(), team[0].tolist()) == ([3, 1, -1, -1], [0, 1, -1, -1])
    with pytest.raises(DataError, match="two rankings"):
        team_draft(a, b[:, :3], np.zeros((1, 2), bool))


def rankers() -> tuple[Arm, Arm]:
    """Control ranks by noise, treatment by half the truth, in pages of five of ten products."""
    rng = np.random.default_rng(0)
    worth = rng.normal(-1.5, 0.8, (200, 10))
    lists = [np.argsort(-(w * worth + rng.normal(size=worth.shape)), axis=1)[:, :5] for w in (0.0, 0.5)]
    control, treatment = (
        Arm(n, x, np.take_along_axis(worth, x, axis=1)) for n, x in zip(("old", "new"), lists, strict=True)
    )
    return control, treatment


def by_user(log: pd.DataFrame) -> np.ndarray:
    """(2, users) clicks on each team."""
    team = (log["team"].to_numpy() == "new").astype(np.int64)
    user = log["user_id"].to_numpy()
    return np.bincount(2 * user + team, log["clicks"], minlength=2 * (int(user.max()) + 1)).reshape(-1, 2).T


def test_equal_rankers_share_clicks_evenly_whatever_the_page() -> None:
    old, _ = rankers()
    for response in (PositionBased(), Cascade()):
        test = rehearse_interleaving(old, Arm("new", old.items, old.log_odds), response, users=200)
        assert test.truth["clicks_per_user"]["relative"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("response", [PositionBased(), Cascade()])
def test_the_truth_is_what_many_visits_average_to(response: PositionBased | Cascade) -> None:
    test = rehearse_interleaving(*rankers(), response, users=60_000, sessions=2.0, seed=2)
    clicks = by_user(test.log)
    truth = test.truth["clicks_per_user"]
    error = clicks.std(axis=1) / np.sqrt(clicks.shape[1])
    assert clicks[0].mean() == pytest.approx(truth["control"], abs=4 * error[0])
    assert clicks[1].mean() == pytest.approx(truth["treatment"], abs=4 * error[1])
    assert (truth["relative"] or 0) > 0.1  # the better ranker is preferred


def test_intervals_within_users_cover_the_truth() -> None:
    test = rehearse_interleaving(*rankers(), PositionBased(), users=TESTS * USERS, sessions=1.5, seed=3)
    truth, held = test.truth["clicks_per_user"], np.zeros(2)
    for part in np.split(by_user(test.log), TESTS, axis=1):
        e = paired(part[0], part[1])
        assert e.relative_low is not None
        assert e.relative_high is not None
        held += (e.low <= truth["absolute"] <= e.high, e.relative_low <= truth["relative"] <= e.relative_high)
    assert (held / TESTS >= 0.93).all(), held / TESTS
    assert (held / TESTS <= 0.97).all(), held / TESTS


def test_the_log_is_read_within_users_and_ships_the_better_ranker() -> None:
    test = rehearse_interleaving(*rankers(), PositionBased(), users=800, seed=4)
    found = test.read()
    row, clicks = found.analysis.deciding("goal")[0], by_user(test.log)
    mine = paired(clicks[0], clicks[1])
    for name in ("absolute", "standard_error", "relative", "relative_standard_error", "p_value"):
        assert getattr(row.estimate, name) == pytest.approx(getattr(mine, name))
    assert (found.decision.verdict, row.method, row.estimate.n_control) == ("ship", "within users", 800)
    lost = test.log.drop(test.log[test.log["team"] == "new"].index[::4])
    assert analyze_log(lost, test.plan).decision.verdict == "withheld"


def test_interleaving_needs_far_fewer_users_than_a_split() -> None:
    """Chapelle et al. 2012: one to two orders of magnitude; here the same users, half of them in each arm."""
    old, new = rankers()
    test = rehearse_interleaving(old, new, PositionBased(), users=4000, seed=5)
    clicks = by_user(test.log)
    within = paired(clicks[0], clicks[1])
    split = np.sqrt(clicks.var(axis=1, ddof=1).sum() / 2000)
    assert within.absolute / within.standard_error > 1.3 * within.absolute / split


def test_a_preference_counts_ties_as_halves() -> None:
    value, low, high = preference([0, 1, 0, 0], [1, 0, 1, 0])
    assert value == pytest.approx((1 + 0 + 1 + 0.5) / 4 - 0.5)
    assert (low + high) / 2 == pytest.approx(value)
    with pytest.raises(DataError, match="at least 2 users"):
        preference([1], [0])
