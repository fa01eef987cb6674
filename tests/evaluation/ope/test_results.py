"""Checks of the weights, the model's algebra, and results as JSON, Markdown and a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import Ridge as Peer

from evaluation.ope import BanditLog, Given, OPEConfig, Ridge, Table, Uniform, evaluate_policy
from evaluation.ope.diagnostics import Limits, diagnose, effective_size, mean_interval, problems
from evaluation.ope.estimators import ESTIMATORS, Bounds, shrink, switch, tune
from evaluation.ope.page import to_markdown, to_svg
from evaluation.ope.result import ASSUMPTIONS, VERDICTS
from evaluation.ope.reward_model import assign_folds
from evaluation.ope.rounds import Rounds
from recsys.errors import ConfigError, DataError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def uniform_log(n: int, rng: np.random.Generator, n_actions: int = 2, **options: object) -> BanditLog:
    action = rng.integers(0, n_actions, n)
    reward = rng.random(n) < (1 + action) / (2 * n_actions)
    return BanditLog.of(action, reward, np.full(n, 1 / n_actions), actions=n_actions, **options)  # type: ignore[arg-type]


def test_the_ridge_is_scikit_learns(rng: np.random.Generator) -> None:
    """Its design written out: penalised one-hot actions, context and products, free places."""
    n, folds = 400, 2
    context, f = rng.normal(size=(n, 2)), rng.normal(size=(5, 1))
    place = rng.integers(0, 3, n)
    log = uniform_log(n, rng, 5, features=context, position=place)
    fold = assign_folds(len(log), log.unit, folds, 0)
    fitted = Ridge(f, penalties=(7.0,)).fit(log, fold, folds)
    g = (f - f.mean()) / f.std()
    rows = np.column_stack([np.eye(5)[log.action], context, context * g[log.action]])
    placed = np.eye(3)[place]
    for k in range(folds):
        train = fold != k
        # Places unpenalised: project them out of both sides (Frisch, Waugh and Lovell).
        off = np.eye(train.sum()) - placed[train] @ np.linalg.pinv(placed[train])
        peer = Peer(alpha=7.0, fit_intercept=False).fit(off @ rows[train], off @ log.reward[train])
        level = np.linalg.pinv(placed[train]) @ (log.reward[train] - rows[train] @ peer.coef_)
        mine = fold == k
        expected = rows[mine] @ peer.coef_ + placed[mine] @ level
        ours = fitted.logged(log.context[mine], place[mine], log.action[mine], fold[mine])
        assert ours == pytest.approx(expected, abs=1e-6)
        pi = rng.dirichlet(np.ones(5), mine.sum())
        each = [fitted.logged(log.context[mine], place[mine], np.full(mine.sum(), a), fold[mine]) for a in range(5)]
        found = fitted.expected(log.context[mine], place[mine], pi)[:, k]
        assert found == pytest.approx((pi * np.stack(each, axis=1)).sum(axis=1), abs=1e-9)


def test_the_penalty_is_the_one_that_predicts_best_out_of_fold(rng: np.random.Generator) -> None:
    """Noise that no action explains is shrunk away; clear differences are kept."""
    noise = BanditLog.of(np.arange(900) % 30, rng.normal(size=900), np.full(900, 1 / 30), actions=30)
    clear = BanditLog.of(np.arange(900) % 30, (np.arange(900) % 30) * 1.0, np.full(900, 1 / 30), actions=30)
    spread = {}
    for name, log in (("noise", noise), ("clear", clear)):
        fitted = Ridge().fit(log, assign_folds(len(log), log.unit, 3, 0), 3)
        each = fitted.expected(np.zeros(30, int), np.zeros(30, int), np.eye(30))
        spread[name] = each.std(axis=0).max()
    assert spread["noise"] < 0.05
    assert spread["clear"] == pytest.approx(np.arange(30).std(), rel=0.1)


def test_a_fold_has_not_seen_its_own_rounds(rng: np.random.Generator) -> None:
    """Changing a fold's rewards leaves its model as it was, with the penalty fixed."""
    log = uniform_log(300, rng, 3)
    fold = assign_folds(len(log), log.unit, 3, 1)
    other = BanditLog.of(log.action, np.where(fold == 0, 1 - log.reward, log.reward), log.propensity, actions=3)
    both = [
        Ridge(penalties=(1.0,)).fit(x, fold, 3).expected(np.zeros(1, int), np.zeros(1, int), np.eye(3)[:1])
        for x in (log, other)
    ]
    assert both[0][0, 0] == both[1][0, 0]
    assert both[0][0, 1] != both[1][0, 1]


def test_units_are_never_split_over_folds(rng: np.random.Generator) -> None:
    log = uniform_log(300, rng, unit=rng.integers(0, 40, 300))
    fold = assign_folds(len(log), log.unit, 3, 0)
    assert log.unit is not None
    assert all(len(set(fold[log.unit == u])) == 1 for u in range(log.n_units))
    with pytest.raises(DataError, match="take fewer folds"):
        assign_folds(2, None, 3, seed=0)


def test_intervals_are_students_and_clustered_ones_are_those_of_the_sums(rng: np.random.Generator) -> None:
    values = rng.normal(size=60)
    ours = mean_interval(values, alpha=0.1, size=60)
    low, high = stats.t.interval(0.9, 59, values.mean(), stats.sem(values))
    assert (ours.low, ours.high) == pytest.approx((low, high))
    unit = np.repeat(np.arange(20), 3)
    clustered = mean_interval(values, alpha=0.1, size=60, unit=unit)
    assert clustered.standard_error == pytest.approx(stats.sem(values.reshape(20, 3).mean(axis=1)))
    with pytest.raises(DataError, match="2 independent units"):
        mean_interval(values, alpha=0.1, size=60, unit=np.zeros(60, int))


def test_the_tuned_bound_has_the_least_estimated_error(rng: np.random.Generator) -> None:
    """Oracle: the criterion written out for every bound."""
    w, r, q, v = rng.gamma(0.3, 3, 500), rng.normal(size=500), rng.normal(size=500), rng.normal(size=500)
    grid = np.geomspace(0.1, 50, 9)
    for shape in (switch, shrink):
        error = []
        for bound in grid:
            s = shape(w, bound)
            error.append(((w - s) * (r - q)).mean() ** 2 + (v + s * (r - q)).var() / 500)
        assert tune(shape, grid, w, r, q, v) == grid[int(np.argmin(error))]


def test_limits_of_the_bounds(rng: np.random.Generator) -> None:
    """DRos and Switch-DR lie between DM (no weight) and DR (all of it)."""
    w, r, q, v = rng.gamma(1, 1, 50), rng.normal(size=50), rng.normal(size=50), rng.normal(size=50)
    rounds = Rounds(r, w, w, q, v)
    dm, dr = (ESTIMATORS[name].values(rounds, Bounds())[0] for name in ("dm", "dr"))
    for name, low, high in (
        ("switch-dr", Bounds(switch=0), Bounds(switch=99)),
        ("dros", Bounds(shrinkage=0), Bounds(shrinkage=np.inf)),
    ):
        assert ESTIMATORS[name].values(rounds, low)[0] == pytest.approx(dm)
        assert ESTIMATORS[name].values(rounds, high)[0] == pytest.approx(dr)


def test_the_effective_size_is_bounded_by_its_extremes(rng: np.random.Generator) -> None:
    w = rng.gamma(0.1, 1, 1000)
    assert effective_size(np.ones(7)) == 7
    assert effective_size(np.array([5.0, 0, 0])) == 1
    assert effective_size(np.zeros(3)) == 0
    assert effective_size(w) == pytest.approx(1000 / (1 + w.var() / w.mean() ** 2))  # Kish


HEALTHY = Rounds(np.ones(1000), np.ones(1000), np.full(1000, 0.5))


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        (Rounds(np.ones(1000), np.r_[np.full(50, 20.0), np.zeros(950)], np.ones(1000)), "effective sample size 50.0"),
        (Rounds(np.r_[np.ones(19), np.zeros(981)], np.ones(1000), np.ones(1000)), "effective number of rewards 19.0"),
        (Rounds(np.ones(1000), np.r_[200.0, np.full(999, 0.8)], np.ones(1000)), "one round holds 20% of all weight"),
        (Rounds(np.ones(1000), np.full(1000, 1.25), np.ones(1000)), "mean weight 1.25 ± 0"),
        (Rounds(np.ones(1000), np.ones(1000), np.ones(1000), unsupported=0.02), "2.0% of the policy's choices"),
    ],
)
def test_each_check_says_what_failed(rounds: Rounds, message: str) -> None:
    assert problems(diagnose(HEALTHY), Limits()) == ()
    found = problems(diagnose(rounds), Limits())
    assert any(message in line for line in found), found


def test_a_policy_outside_the_log_is_found_out(rng: np.random.Generator) -> None:
    """The log never shows action 2; 30 % of the policy's choices are of it."""
    log = BanditLog.of(rng.integers(0, 2, 5000), rng.random(5000) < 0.3, np.full(5000, 0.5), actions=3)
    found = evaluate_policy(log, Table(np.array([[0.35, 0.35, 0.3]])))
    assert found.diagnostics.unsupported == pytest.approx(0.3)
    assert found.verdict == "withheld"
    assert "30.0% of the policy's choices are never shown in the log" in found.because


def test_the_histogram_counts_every_weight_above_0(rng: np.random.Generator) -> None:
    w = np.r_[rng.gamma(0.2, 5, 500), np.zeros(20), 1e9]
    found = diagnose(Rounds(np.ones(521), w, w))
    assert sum(found.histogram) == 501
    assert found.histogram[-1] == 1
    assert found.zero == pytest.approx(20 / 521)


def test_what_cannot_be_used_is_skipped_and_says_why(rng: np.random.Generator) -> None:
    log = BanditLog.of([0, 1] * 500, [0, 1] * 500, [0.6, 0.4] * 500, actions=2)
    why = dict(evaluate_policy(log, Uniform(2)).skipped)
    assert why == {"replay": "the policy is not deterministic", "mips": "it needs features of the actions"}
    always = Table(np.array([[0.0, 1.0]]))
    assert dict(evaluate_policy(log, always).skipped)["replay"] == "the log is not uniform: propensities differ"
    found = evaluate_policy(uniform_log(1000, rng), always)
    assert found["replay"].value == pytest.approx(found["snipw"].value)  # the same under a uniform log
    with pytest.raises(DataError, match="let another one decide"):
        evaluate_policy(log, Uniform(2), OPEConfig(decides="replay"))


def test_same_seed_same_result_and_json_is_whole(rng: np.random.Generator) -> None:
    log = uniform_log(2000, rng, 4)
    one, two = (evaluate_policy(log, Uniform(4)).to_json() for _ in range(2))
    assert json.dumps(one) == json.dumps(two)
    assert one["verdict"] in VERDICTS
    assert tuple(one["assumptions"]) == ASSUMPTIONS


def test_results_are_written_for_people(rng: np.random.Generator) -> None:
    found = evaluate_policy(uniform_log(5000, rng, 4), Table(np.array([[0, 0, 0, 1.0]]), "always 3"))
    text = to_markdown(found)
    assert text.startswith("# always 3: better")
    assert all(line in text for line in (*ASSUMPTIONS, *found.because))
    assert all(f"\n| {row.estimator} |" in text or f"\n| **{row.estimator}** |" in text for row in found.rows)
    assert "- mips: it needs features of the actions" in text
    picture = ET.fromstring(to_svg(found))
    words = {"".join(node.itertext()).strip() for node in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"dr *", "ipw", "weight"} <= words
    assert to_svg(found) == to_svg(found)


def test_impossible_settings_are_refused() -> None:
    for options in ({"alpha": 1.0}, {"folds": 1}, {"groups": -1}, {"estimators": ("ipw",), "decides": "dr"}):
        with pytest.raises(ConfigError):
            OPEConfig(**options)
    with pytest.raises(ConfigError, match="did you mean 'snipw'"):
        OPEConfig(("snips",)).asked(ESTIMATORS)
    for options in ({"rank": 0}, {"penalties": ()}, {"penalties": (0.0,)}):
        with pytest.raises(ConfigError):
            Ridge(**options)


def test_models_that_do_not_fit_the_log_are_refused(rng: np.random.Generator) -> None:
    log = uniform_log(50, rng, 3, features=rng.normal(size=(50, 2)))
    fold = assign_folds(len(log), log.unit, 2, 0)
    for model, message in (
        (Given(np.ones((50, 2))), r"must be \(n_contexts, n_actions"),
        (Given(np.full((50, 3), np.nan)), "must be finite"),
        (Ridge(np.ones((2, 4))), r"finite and \(3, m\)"),
    ):
        with pytest.raises(DataError, match=message):
            model.fit(log, fold, 2)
    with pytest.raises(ConfigError, match="there must be 2 at least"):
        Ridge().fit(log, np.zeros(50, int), 1)
