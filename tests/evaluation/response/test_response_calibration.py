"""Fits to logs against the parameters that made them, against enumeration, and against real logs."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from scipy import stats
from scipy.special import expit

from cli import main
from evaluation.response import Cascade, Choice, DynamicBayesian, PositionBased
from evaluation.response.calibrate import NOTE, calibrate, read_calibration, settings_of
from evaluation.response.fitting import FITS, _reading, fit_choice, fit_position_based
from evaluation.response.impressions import ImpressionColumns, Impressions, read_impressions
from evaluation.response.realism import _auc, _tell_apart, compare, divergence, perplexity
from evaluation.simulate import ABConfig
from recsys.errors import ArtifactError, ConfigError, DataError

OBD = Path(os.environ.get("STYLEREC_DATA", "../shared/data")) / "obd"
TRUTH = [
    PositionBased(examined=(1.0, 0.7, 0.5, 0.35, 0.3, 0.2)),
    Cascade(continuation=0.85),
    DynamicBayesian(satisfaction=0.6, continuation=0.85),
    Choice(),
]


def made_log(
    model: Any, n: int, seed: int, *, mean: float = -1.5, spread: float = 0.7
) -> tuple[Impressions, np.ndarray]:
    """Randomised pages of 6 of 60 items; a third of the pages is shorter."""
    rng = np.random.default_rng(seed)
    value = rng.normal(mean, spread, 60)
    items = np.argsort(rng.random((n, 60)), axis=1)[:, :6]
    items[rng.random(n) < 1 / 3, 4:] = -1
    clicks = model.clicks(np.append(value, -np.inf)[items], rng)
    return Impressions.of(items, clicks), value


@pytest.mark.parametrize("model", TRUTH, ids=repr)
def test_a_fit_finds_the_parameters_that_made_the_log(model: Any) -> None:
    log, value = made_log(model, 30_000, 1)
    fit = FITS[model.name](log)
    assert fit.settled
    if isinstance(model, PositionBased):
        assert fit.model.examined == pytest.approx(model.examined, abs=0.03)
        assert fit.model.examined[0] == 1
    if isinstance(model, Cascade | DynamicBayesian):
        assert fit.model.continuation == pytest.approx(0.85, abs=0.02)
    if isinstance(model, DynamicBayesian):
        assert fit.model.satisfaction == pytest.approx(0.6, abs=0.05)
    assert fit.attraction.mean == pytest.approx(value.mean(), abs=0.04)
    assert fit.attraction.spread == pytest.approx(value.std(), abs=0.05)
    assert np.corrcoef(fit.attraction.value, value)[0, 1] > 0.98


@pytest.mark.parametrize("model", TRUTH, ids=repr)
def test_over_many_logs_the_bias_is_small(model: Any) -> None:
    # 16 logs of 3,000 pages; what is asked is the mean error, within three of its standard errors plus 0.02 for the
    # Laplace step, which is not exact.
    errors = []
    for seed in range(16):
        log, value = made_log(model, 3000, 100 + seed)
        fit = FITS[model.name](log)
        found = [fit.attraction.mean - value.mean(), fit.attraction.spread - value.std()]
        if isinstance(model, PositionBased):
            found += list(np.subtract(fit.model.examined, model.examined)[1:])
        if isinstance(model, Cascade | DynamicBayesian):
            found.append(fit.model.continuation - 0.85)
        if isinstance(model, DynamicBayesian):
            found.append(fit.model.satisfaction - 0.6)
        errors.append(found)
    bias = np.mean(errors, axis=0)
    assert (np.abs(bias) < 0.02 + 3 * np.std(errors, axis=0, ddof=1) / 4).all(), bias


def test_the_position_based_fit_is_a_fixed_point_of_textbook_em() -> None:
    log, _ = made_log(TRUTH[0], 20_000, 2)
    fit = fit_position_based(log)
    theta, a = np.array(fit.model.examined), expit(fit.attraction.value)
    cell = (log.item, log.rank)
    shown, clicks = np.zeros((60, 6)), np.zeros((60, 6))
    np.add.at(shown, cell, 1)
    np.add.at(clicks, cell, log.click)
    quiet = shown - clicks
    p = theta * a[:, None]
    looked = clicks + quiet * theta * (1 - a[:, None]) / (1 - p)
    assert looked.sum(axis=0) / shown.sum(axis=0) == pytest.approx(theta, abs=1e-4)
    # Attraction: the posterior mode of a binomial of the expected looks, whose slope is 0 there.
    slope = clicks.sum(axis=1) - looked.sum(axis=1) * a
    prior = (fit.attraction.value - fit.attraction.mean) / fit.attraction.spread**2
    assert slope == pytest.approx(prior, abs=0.02)  # of hundreds of clicks an item


def test_who_looked_where_is_bayes_over_every_place_to_stop() -> None:
    rng = np.random.default_rng(3)
    n, k, go, after = 200, 5, 0.8, 0.35
    a, there = rng.uniform(0.1, 0.9, (n, k)), rng.random((n, k)) < 0.8
    a = np.where(there, a, 0.0)
    clicks = (rng.random((n, k)) < 0.3) & there
    last = np.where(clicks.any(axis=1), k - 1 - clicks[:, ::-1].argmax(axis=1), -1)
    looked, _ = _reading(a, there, clicks, last, go, after)
    for i in range(n):
        weight = np.zeros(k)  # of the last place looked at
        chance = 1.0
        for r in range(k):
            chance *= a[i, r] if clicks[i, r] else 1 - a[i, r]
            onward = 1.0 if not there[i, r] else after if clicks[i, r] else go
            if r >= last[i]:
                weight[r] = chance * (1 if r == k - 1 else 1 - onward)
            chance *= onward
        expected = np.cumsum((weight / weight.sum())[::-1])[::-1]
        assert looked[i] == pytest.approx(expected)


def test_the_choice_of_one_page_is_its_shares() -> None:
    items = np.tile(np.arange(3), (100_000, 1))
    clicks = Choice().clicks(np.tile([-0.5, -1.5, -2.5], (100_000, 1)), np.random.default_rng(0))
    fit = fit_choice(Impressions.of(items, clicks))
    none = (~clicks.any(axis=1)).sum()
    # Maximum likelihood in closed form; the prior moves it by less than its standard error, 0.02.
    assert fit.attraction.value == pytest.approx(np.log(clicks.sum(axis=0) / none), abs=0.01)


def test_perplexity_and_divergence_are_their_formulas() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.05, 0.6, 200_000)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    assert perplexity(p, rng.random(len(p)) < p) == pytest.approx(2 ** entropy.mean(), rel=0.005)
    assert perplexity(np.array([0.0]), np.array([False])) == pytest.approx(1.0)
    assert perplexity(np.array([0.0]), np.array([True])) == pytest.approx(1e9)  # bounded
    assert np.isnan(perplexity(np.array([]), np.array([], bool)))
    assert divergence([99.5, 299.5], [199.5, 199.5]) == pytest.approx(stats.entropy([0.25, 0.75], [0.5, 0.5]))


def test_auc_is_that_of_scikit_learn_and_its_error_that_of_resampling() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    high, low = rng.normal(0.3, 1, 400).round(1), rng.normal(0, 1, 300).round(1)
    auc, error = _auc(high, low)
    label, score = np.repeat([1, 0], [400, 300]), np.concatenate([high, low])
    assert auc == pytest.approx(metrics.roc_auc_score(label, score))
    again = [_auc(rng.choice(high, 400), rng.choice(low, 300))[0] for _ in range(400)]
    assert error == pytest.approx(np.std(again), rel=0.15)  # 4 errors of a standard deviation of 400


def test_a_classifier_cannot_tell_twins_and_does_tell_strangers() -> None:
    rng = np.random.default_rng(2)
    same, other = rng.normal(size=(2, 3000, 4)), rng.normal(0.3, 1, (3000, 4))
    auc, error = _tell_apart(same[0], same[1], rng)
    assert abs(auc - 0.5) < 3.5 * error
    # Shift 0.3 in four coordinates: distance 0.6, so AUC = Φ(0.6 / √2).
    auc, error = _tell_apart(other, same[0], rng)
    assert auc == pytest.approx(stats.norm.cdf(0.6 / np.sqrt(2)), abs=4 * error)


@pytest.mark.parametrize("model", TRUTH[:3], ids=repr)
def test_the_model_that_made_the_log_is_chosen_and_looks_real(model: Any) -> None:
    log, _ = made_log(model, 12_000, 7)
    found = calibrate(log)
    assert found.chosen == model.name
    assert found.caution == ""
    real = found.realism[model.name]
    assert real.auc_low - 0.01 < 0.5 < real.auc_high + 0.01
    assert real.perplexity_given_above <= real.perplexity < real.perplexity_of_ranks
    assert real.ks_items_p > 0.001
    assert real.kl_pages is not None
    assert real.kl_pages < 0.02
    wrong = found.realism["mnl"]
    assert wrong.auc_low > 0.5
    assert wrong.kl_ranks > real.kl_ranks
    for row in real.ranks:
        error = np.sqrt(row["expected"] * (1 - row["expected"]) / row["impressions"])
        assert abs(row["real"] - row["expected"]) < 4.5 * error


def test_a_file_of_settings_is_read_by_the_simulation(tmp_path: Path) -> None:
    log, _ = made_log(TRUTH[0], 4000, 3)
    items, clicks = log.pages()
    page, rank = np.nonzero(items >= 0)
    table = {"shop": page // 10, "visit": page % 10, "place": rank + 1}
    frame = pd.DataFrame(
        table | {"product": [f"p{i:02}" for i in items[page, rank]], "hit": clicks[page, rank].astype(int)}
    )
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "log.csv", index=False)
    names = ["--item", "product", "--click", "hit", "--position", "place", "--page", "shop", "--page", "visit"]
    asked = ["calibrate", str(tmp_path / "log.csv"), *names, "--out", str(tmp_path / "clicks.json")]
    result = CliRunner().invoke(main, asked, catch_exceptions=False)
    assert result.exit_code == 0
    assert NOTE in result.stdout
    assert 'response = "position-based"' in result.stdout
    settings = read_calibration(tmp_path / "clicks.json")
    direct = settings_of(fit_position_based(log))
    assert settings["examination"] == pytest.approx(direct["examination"])
    assert settings["base_click_rate"] == pytest.approx(direct["base_click_rate"])
    model = ABConfig(**settings).make_response()
    assert model.probability(np.zeros((1, 6)))[0] == pytest.approx(np.array(settings["examination"]) / 2)
    held_out = json.loads((tmp_path / "clicks.json").read_text())["models"]["dbn"]["held_out"]
    assert held_out["perplexity"] > 1


@pytest.mark.realdata
@pytest.mark.skipif(not OBD.is_dir(), reason="STYLEREC_DATA has no Open Bandit sample")
@pytest.mark.parametrize(("campaign", "clicks", "items"), [("all", 38, 80), ("men", 46, 34), ("women", 46, 46)])
def test_the_open_bandit_sample(campaign: str, clicks: int, items: int) -> None:
    log = read_impressions(OBD / "random" / campaign / f"{campaign}.csv.gz")
    assert (len(log), int(log.click.sum()), log.n_items, log.n_ranks) == (10_000, clicks, items, 3)
    fit = fit_position_based(log)
    real = compare(fit, log, log)
    # Clicks as expected at every rank below the cap (likelihood equations), and in all; a model that knows so little of
    # items is hardly better than the ranks' rates.
    expected = sum(row["expected"] * row["impressions"] for row in real.ranks)
    assert expected == pytest.approx(clicks, rel=0.02)
    for row, theta in zip(real.ranks, fit.model.examined, strict=True):
        if theta < 1:
            assert row["expected"] == pytest.approx(row["real"], rel=0.02)
    assert 1 < real.perplexity <= real.perplexity_of_ranks * 1.0005
    assert real.auc_low < 0.5 < real.auc_high
    assert f"{clicks} clicks, fewer than 1000" in calibrate(log).caution
    with pytest.raises(DataError, match="which impressions stood on one page"):
        FITS["dbn"](log)


def test_rows_that_cannot_be_used_are_refused_with_a_reason() -> None:
    rows = [("a", 1, 1, "x"), ("", 1, 2, "x"), ("b", 2, 3, "x"), ("c", 0, 1.5, "x"), ("d", 0, 1, "x"), ("d", 0, 1, "y")]
    frame = pd.DataFrame(rows, columns=["item_id", "click", "position", "page"])
    log = read_impressions(frame, ImpressionColumns(page=("page",)))
    assert len(log) == 2
    assert log.n_pages == 2
    assert list(log.rejected["reason"]) == [
        "item is empty",
        "click is not 0 or 1",
        "position is not a whole number",
        "an earlier row of the page has this position",
    ]
    with pytest.raises(DataError, match="did you mean 'click'"):
        read_impressions(frame, ImpressionColumns(click="clik"))
    with pytest.raises(DataError, match="none of 1 rows is usable: click is not 0 or 1"):
        read_impressions(frame.iloc[2:3])


def test_logs_that_cannot_tell_are_refused() -> None:
    fixed = np.tile(np.arange(4), (500, 1))
    clicks = np.random.default_rng(0).random((500, 4)) < 0.3
    with pytest.raises(DataError, match="never change their rank"):
        fit_position_based(Impressions.of(fixed, clicks))
    with pytest.raises(DataError, match="no click"):
        fit_position_based(Impressions.of(fixed, np.zeros_like(clicks)))
    with pytest.raises(ConfigError, match="did you mean 'cascade'"):
        calibrate(Impressions.of(fixed, clicks), ["cascad"])
    with pytest.raises(DataError, match="too few to hold some out"):
        calibrate(Impressions.of(fixed[:1], clicks[:1]), ["cascade"])
    with pytest.raises(ConfigError, match="held_out must be between"):
        calibrate(Impressions.of(fixed, clicks), held_out=1.0)


def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path) -> None:
    for text in ("[]", '{"ab": {"users": 3, "response": "cascade"}}', '{"ab": {}}'):
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(ArtifactError, match="is no calibration"):
            read_calibration(tmp_path / "c.json")


def test_every_click_everywhere_and_one_item_stay_finite() -> None:
    rng = np.random.default_rng(0)
    items = rng.integers(0, 3, (100, 3))
    for name, fit in FITS.items():
        found = fit(Impressions.of(items, np.ones((100, 3), bool)))
        assert np.isfinite(found.attraction.value).all(), name
        assert np.isfinite(found.attraction.spread), name
        one = fit(Impressions.of(np.zeros((300, 1), int), rng.random((300, 1)) < 0.2))
        # A page with one place, one item: its log-odds are those of the click rate, whatever the model.
        assert expit(one.attraction.value[0]) == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 300)), name
