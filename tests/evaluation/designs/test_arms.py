"""Several arms at once: Dunnett against scipy and its table, simultaneous coverage, and policies as arms."""

import numpy as np
import pytest
from scipy import stats

from evaluation.designs.arms import personalised_arm, rehearse_arms
from evaluation.designs.assignment import assign, assign_arms
from evaluation.experiment.dunnett import dunnett_p_values, dunnett_reach
from evaluation.experiment.many_arms import analyze_arms
from evaluation.inference import Moments, welch
from evaluation.multiplicity import holm
from evaluation.response import PositionBased
from evaluation.simulate import Arm
from recsys.errors import ConfigError, DataError

TESTS, USERS = 2000, 400
ITEMS = np.tile(np.arange(4), (300, 1))


def looks(*effects: float) -> list[Arm]:
    base = np.random.default_rng(0).normal(-1.2, 0.7, ITEMS.shape)
    return [Arm(f"look {i}", ITEMS, base + effect) for i, effect in enumerate((0.0, *effects))]


# Dunnett 1964, two-sided 5 %, equal sizes: treatments, degrees of freedom, critical value.
TABLE = [(1, 1e9, 1.96), (2, 1e9, 2.21), (3, 1e9, 2.35), (4, 1e9, 2.44), (2, 10, 2.57), (3, 20, 2.54)]


@pytest.mark.parametrize(("k", "df", "critical"), TABLE)
def test_the_reach_is_the_published_table(k: int, df: float, critical: float) -> None:
    assert dunnett_reach([50] * (k + 1), df) == pytest.approx(critical, abs=0.0051)


def test_p_values_are_scipys() -> None:
    rng = np.random.default_rng(0)
    control, *treated = (rng.normal(m, 1, n) for m, n in ((0, 30), (0.4, 20), (0.7, 25), (0.0, 15)))
    theirs = stats.dunnett(*treated, control=control, rng=1)
    sizes = [len(x) for x in (control, *treated)]
    df = sum(sizes) - len(sizes)
    pooled = sum((len(x) - 1) * x.var(ddof=1) for x in (control, *treated)) / df
    t = [(x.mean() - control.mean()) / np.sqrt(pooled * (1 / len(x) + 1 / len(control))) for x in treated]
    assert t == pytest.approx(theirs.statistic)
    assert dunnett_p_values(t, sizes, df) == pytest.approx(theirs.pvalue, abs=2e-3)  # theirs are drawn at random


def test_p_values_are_below_alpha_where_the_reach_excludes_zero() -> None:
    reach = dunnett_reach([300, 200, 100], 40.0, alpha=0.03)
    assert dunnett_p_values([reach, 0.1], [300, 200, 100], 40.0)[0] == pytest.approx(0.03, abs=1e-6)
    with pytest.raises(ConfigError, match="one size of control"):
        dunnett_p_values([1.0], [5, 5, 5], 10)


def test_all_intervals_together_cover_and_single_ones_do_not() -> None:
    """2,000 tests of three looks, cut from one simulation; a test counts where all three truths are covered."""
    test = rehearse_arms(looks(0.0, 0.15, 0.3), PositionBased(), users=TESTS * USERS, sessions=2.0, seed=1)
    truth = [test.truth[f"look {i}"]["clicks_per_user"]["absolute"] for i in (1, 2, 3)]
    code = test.log["variant"].str[-1].astype(int).to_numpy().reshape(TESTS, USERS)
    clicks = test.log["clicks"].to_numpy(np.float64).reshape(TESTS, USERS)
    held = np.zeros(3)
    reach = dunnett_reach([100] * 4, 396.0)
    for arm, y in zip(code, clicks, strict=True):
        control, *treated = (Moments.of(y[arm == a]) for a in range(4))
        family = [welch(control, m) for m in treated]
        off = max(abs(e.absolute - t) / e.standard_error for e, t in zip(family, truth, strict=True))  # type: ignore[operator]
        bonferroni = [welch(control, m, alpha=0.05 / 3) for m in treated]
        held += (
            off <= reach,
            all(e.low <= t <= e.high for e, t in zip(bonferroni, truth, strict=True)),  # type: ignore[operator]
            all(e.low <= t <= e.high for e, t in zip(family, truth, strict=True)),  # type: ignore[operator]
        )
    assert 0.93 <= held[0] / TESTS <= 0.97, held / TESTS
    assert 0.95 <= held[1] / TESTS <= 0.98, held / TESTS  # Bonferroni: a little wide
    assert held[2] / TESTS < 0.91, held / TESTS


def test_without_an_effect_one_of_twenty_tests_alarms_and_unadjusted_more() -> None:
    test = rehearse_arms(looks(0, 0, 0), PositionBased(), users=TESTS * USERS, sessions=2.0, seed=7)
    code = test.log["variant"].str[-1].astype(int).to_numpy().reshape(TESTS, USERS)
    clicks = test.log["clicks"].to_numpy(np.float64).reshape(TESTS, USERS)
    t, p = np.empty((2, TESTS, 3))
    for i, (arm, y) in enumerate(zip(code, clicks, strict=True)):
        control, *treated = (Moments.of(y[arm == a]) for a in range(4))
        family = [welch(control, m) for m in treated]
        t[i], p[i] = [e.absolute / e.standard_error for e in family], [e.p_value for e in family]
    alarms = {
        "none": (p <= 0.05).any(axis=1).mean(),
        "holm": (holm(p.T) <= 0.05).any(axis=0).mean(),
        "dunnett": (np.abs(t) > dunnett_reach([100] * 4, 396.0)).any(axis=1).mean(),
    }
    assert alarms["none"] > 0.09
    assert alarms["holm"] <= alarms["dunnett"]
    assert alarms["dunnett"] == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / TESTS))


def test_the_best_look_ships_and_its_row_carries_its_truth() -> None:
    test = rehearse_arms(looks(0.05, 0.4, -0.5), PositionBased(), users=12_000, seed=2, adjust="dunnett")
    found = test.read()
    assert (found.decision.verdict, found.ships) == ("ship", "look 2")
    assert found.arms["look 3"].decision.verdict == "roll back"
    told = found.to_json()["arms"]["look 2"]
    assert told["results"][0]["covers_truth"] is True
    assert "effect size" in told["assumption"]
    row = found.arms["look 2"].analysis.deciding("goal")[0]
    assert row.reading.low is not None
    assert row.estimate.relative_low is not None
    assert row.reading.low < row.estimate.relative_low  # wider, because it is one of three


def test_holm_is_applied_over_all_arms_and_goals() -> None:
    test = rehearse_arms(looks(0.1, 0.12), PositionBased(), users=3000, seed=3)
    found = analyze_arms(test.log, test.plan)
    raw = sorted(
        (r.reading.p_value, r.adjusted_p_value) for a in found.arms.values() for r in a.analysis.deciding("goal")
    )
    assert raw[0][1] == pytest.approx(2 * raw[0][0])
    assert raw[1][1] == pytest.approx(max(2 * raw[0][0], raw[1][0]))


def test_a_policy_that_knows_tastes_is_an_arm_with_a_truth_of_its_own() -> None:
    rng = np.random.default_rng(1)
    base, taste = rng.normal(-1.5, 0.3, ITEMS.shape), rng.normal(0, 0.4, (300, 2))
    original, *styled = [
        Arm(name, ITEMS, base + shift) for name, shift in (("original", 0.0), ("a", taste[:, :1]), ("b", taste[:, 1:]))
    ]
    choice = np.where(taste.max(axis=1) > 0, 1 + taste.argmax(axis=1), 0)
    mine = personalised_arm([original, *styled], choice)
    test = rehearse_arms([original, *styled, mine], PositionBased(), users=12_000, seed=2)
    # By hand: everybody's clicks under the look that the policy gives them.
    p = np.stack([PositionBased().probability(a.log_odds).sum(axis=1) for a in (original, *styled)])
    expected = p[choice, np.arange(300)].mean() / p[0].mean() - 1
    assert test.truth["personalised"]["clicks_per_user"]["relative"] == pytest.approx(expected)
    assert expected > max(p[1:].mean(axis=1)) / p[0].mean() - 1
    assert test.read().ships == "personalised"
    with pytest.raises(DataError, match="one of 2 arms"):
        personalised_arm([original, styled[0]], choice)


def test_shares_are_kept_and_nested() -> None:
    units = range(40_000)
    arm = assign_arms(units, "salt", [0.5, 0.3, 0.2])
    assert np.bincount(arm) / len(units) == pytest.approx([0.5, 0.3, 0.2], abs=4 * 0.5 / 200)
    assert assign_arms(units, "salt", [0.7, 0.3]).tolist() == assign(units, "salt", 0.3).tolist()
    assert (arm[assign(units, "salt", 0.3) == 1] == 1).all()  # a second treatment takes from control alone
    with pytest.raises(ConfigError, match="sum to 1"):
        assign_arms(units, "salt", [0.5, 0.3])
