"""Response models against enumeration, simulation, published equations and each other's special cases."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from evaluation.response import RESPONSES, Cascade, Choice, DynamicBayesian, PositionBased
from evaluation.response.position import examination
from recsys.errors import ConfigError, DataError

MODELS = [
    PositionBased(),
    PositionBased(eta=0.0),
    PositionBased(examined=(1.0, 0.6, 0.5, 0.5, 0.1, 0.0)),
    Cascade(),
    Cascade(continuation=0.7),
    DynamicBayesian(),
    DynamicBayesian(satisfaction=0.3, continuation=1.0),
    DynamicBayesian(satisfaction=0.0, continuation=0.8),
    Choice(),
]
IDS = [repr(m) for m in MODELS]
PAGE = np.array([[-0.5, 1.2, -np.inf, -2.0, 0.3, 3.0]])


def stories(model: Any, a: np.ndarray) -> tuple[np.ndarray, float]:
    """Click probabilities, and that of any click, by adding up every path of a chain model."""
    s, g = getattr(model, "satisfaction", 1.0), model.continuation
    marginal, none = np.zeros(len(a)), 0.0
    for path in itertools.product((0, 1), repeat=len(a)):  # clicks at each rank
        last = max((i for i, c in enumerate(path) if c), default=-1)
        chance, total = 1.0, 0.0
        for rank in range(len(a)):
            if a[rank] == 0:
                chance *= not path[rank]
                continue
            chance *= a[rank] if path[rank] else 1 - a[rank]
            stop = (1 - g * (1 - s)) if path[rank] else 1 - g
            if rank >= last:
                total += (
                    chance * stop
                )  # everything below is unread, so this is a story only if nothing there is clicked
            chance *= 1 - stop
        total += chance
        marginal += total * np.array(path)
        none += total * (last < 0)
    return marginal, 1 - none


@pytest.mark.parametrize("model", [m for m in MODELS if isinstance(m, Cascade | DynamicBayesian)], ids=repr)
def test_the_closed_form_of_a_chain_is_the_sum_over_its_stories(model: Any) -> None:
    marginal, anything = stories(model, expit(PAGE[0]))
    assert model.probability(PAGE)[0] == pytest.approx(marginal)
    assert model.any_click(PAGE)[0] == pytest.approx(anything)


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_probabilities_given_the_clicks_above_multiply_to_the_marginal_ones(model: Any) -> None:
    # Every pattern of clicks of the page: probabilities sum to 1, and each place's clicks to its closed form.
    pattern = np.array(list(itertools.product((False, True), repeat=6)))
    pages = np.repeat(PAGE, len(pattern), axis=0)
    given = model.given_above(pages, pattern)
    chance = np.where(pattern, given, 1 - given).prod(axis=1)
    assert chance.sum() == pytest.approx(1)
    assert chance @ pattern == pytest.approx(model.probability(PAGE)[0])
    assert chance @ pattern.any(axis=1) == pytest.approx(model.any_click(PAGE)[0])


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_simulated_clicks_follow_the_closed_form(model: Any) -> None:
    n = 200_000
    clicks = model.clicks(np.repeat(PAGE, n, axis=0), np.random.default_rng(5))
    for found, p in [
        *zip(clicks.sum(axis=0), model.probability(PAGE)[0], strict=True),
        (clicks.any(axis=1).sum(), model.any_click(PAGE)[0]),
    ]:
        # Seven figures a model, nine models: a level of 1e-4 each alarms falsely in 0.6 % of seeds; the seed is fixed.
        assert stats.binomtest(int(found), n, float(p)).pvalue > 1e-4


def test_equations_of_chapelle_and_zhang_by_hand() -> None:
    # a = 1/2, 3/4, 1/2; s = 0.4, g = 0.9: E_2 = 0.9 (1 - 0.2) = 0.72, E_3 = 0.72 × 0.9 (1 - 0.3) = 0.4536.
    odds = np.array([[0.0, np.log(3), 0.0]])
    found = DynamicBayesian(satisfaction=0.4, continuation=0.9).probability(odds)
    assert found[0] == pytest.approx([0.5, 0.72 * 0.75, 0.4536 * 0.5])


def test_the_cascade_is_a_network_that_every_click_satisfies() -> None:
    rng = np.random.default_rng(0)
    odds, luck = rng.normal(0, 2, (500, 7)), rng.random((500, 7))
    for g in (1.0, 0.6):
        dbn, cascade = DynamicBayesian(satisfaction=1.0, continuation=g), Cascade(continuation=g)
        assert (dbn.clicks(odds, luck) == cascade.clicks(odds, luck)).all()
        assert dbn.probability(odds) == pytest.approx(cascade.probability(odds))


def test_nobody_tires_or_is_satisfied_is_no_position_bias() -> None:
    odds = np.random.default_rng(1).normal(0, 2, (50, 6))
    free = DynamicBayesian(satisfaction=0.0, continuation=1.0)
    assert free.probability(odds) == pytest.approx(PositionBased(eta=0.0).probability(odds))
    assert free.any_click(odds) == pytest.approx(PositionBased(eta=0.0).any_click(odds))


def test_the_choice_is_mcfaddens() -> None:
    v = np.log(np.array([[1.0, 2.0, 0.5]]))
    assert Choice().probability(v)[0] == pytest.approx(np.array([1, 2, 0.5]) / 4.5)
    # Every product 1.1 times as attractive: the published roll-out lifts of a page clicked with 5, 20, 50, 80 %.
    for p, lift in ((0.05, 9.45), (0.2, 7.84), (0.5, 4.76), (0.8, 1.85)):
        base = np.full((1, 4), np.log(p / (1 - p) / 4))
        gain = Choice().any_click(base + np.log(1.1)) / Choice().any_click(base) - 1
        assert 100 * gain[0] == pytest.approx(lift, abs=0.005)


def test_the_position_model_is_examination_times_attraction() -> None:
    odds = np.log([[1.0, 3.0], [1 / 3, 1.0]])  # sigmoid(log x) = x / (1 + x)
    assert PositionBased(1.0).probability(odds) == pytest.approx(np.array([[0.5, 0.375], [0.25, 0.25]]))
    assert PositionBased(examined=(0.8, 0.4, 0.1)).probability(odds)[0] == pytest.approx([0.4, 0.3])
    assert examination(4, 2.0).tolist() == [1, 1 / 4, 1 / 9, 1 / 16]
    assert examination(3, 0.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_common_luck_never_takes_a_page_its_first_click_when_every_product_is_better(model: Any) -> None:
    rng = np.random.default_rng(2)
    odds, luck = rng.normal(-1, 1, (5000, 5)), rng.random((5000, 5))
    before, after = model.clicks(odds, luck), model.clicks(odds + 0.3, luck)
    lost = (before.any(axis=1) & ~after.any(axis=1)).mean()
    assert lost == 0
    assert (after.any(axis=1) & ~before.any(axis=1)).any()
    assert (model.clicks(odds, luck) == before).all()


@pytest.mark.parametrize("model", MODELS, ids=IDS)
def test_extreme_odds_and_odd_shapes_stay_within_their_bounds(model: Any) -> None:
    wild = np.array([[-np.inf, -1e4, 1e4, np.inf, 800.0, -800.0], [-np.inf] * 6], np.float32)
    p = model.probability(wild)
    assert ((p >= 0) & (p <= 1)).all()
    assert (p[1] == 0).all()
    assert p[:, 0].tolist() == [0, 0]
    anything = model.any_click(wild)
    assert -1e-12 <= anything[1] <= 1e-12
    assert anything[0] <= 1
    clicks = model.clicks(wild, np.random.default_rng(0))
    assert not clicks[1].any()
    assert not clicks[:, 0].any()
    for shape in ((0, 6), (3, 0), (0, 0), (2, 1)):
        empty = np.zeros(shape)
        assert model.probability(empty).shape == model.clicks(empty, np.random.default_rng(0)).shape == shape
        assert model.any_click(empty).shape == shape[:1]
    with pytest.raises(DataError, match="NaN"):
        model.probability(np.array([[np.nan]]))
    with pytest.raises(DataError, match="pages, places"):
        model.probability(np.zeros(3))
    with pytest.raises(DataError, match=r"\(1, 6\), got \(1, 2\)"):
        model.clicks(PAGE, np.zeros((1, 2)))


def test_a_huge_page_is_a_page() -> None:
    odds = np.full((2, 20_000), -6.0)
    for model in (PositionBased(), Cascade(), DynamicBayesian(), Choice()):
        p = model.probability(odds)
        assert np.isfinite(p).all()
        assert 0 < model.any_click(odds)[0] <= 1
    # 20,000 products that weigh e^-6 each: 49.58 to 1.
    assert Choice().any_click(odds)[0] == pytest.approx(20_000 / (20_000 + np.exp(6)))


def test_names_are_those_of_the_table() -> None:
    assert list(RESPONSES) == ["position-based", "cascade", "dbn", "mnl"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PositionBased(eta=-1), "position bias must be a number >= 0, got -1"),
        (lambda: PositionBased(eta=float("nan")), "position bias"),
        (lambda: PositionBased(examined=(1.0, 1.2)), r"examination must be in \[0, 1\], got 1.2"),
        (lambda: Cascade(continuation=2), "continuation must be in"),
        (lambda: DynamicBayesian(satisfaction=float("nan")), "satisfaction must be in"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_page_longer_than_the_calibration_is_refused() -> None:
    with pytest.raises(DataError, match="known for 2 ranks, the page has 3"):
        PositionBased(examined=(1.0, 0.5)).probability(np.zeros((1, 3)))
