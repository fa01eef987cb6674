"""The centring that makes `style_effect` mean what it says, and what recognisability costs."""

import numpy as np
import pytest

from evaluation.ab_config import ABConfig
from evaluation.response.effect import style_log_odds
from recsys.errors import DataError


@pytest.mark.parametrize("offset", [-5.0, -1.0, 0.0, 3.0])
def test_the_average_shift_is_the_style_effect_whatever_the_origin_of_taste(offset: float) -> None:
    taste = np.random.default_rng(0).normal(offset, 2, (50, 4))
    shift = style_log_odds(taste, np.zeros_like(taste), ABConfig(style_effect=0.3))
    assert shift.mean() == pytest.approx(0.3)
    # One unit of taste is one style_effect: the slope of a line through (taste, shift).
    assert np.polyfit(taste.ravel(), shift.ravel(), 1)[0] == pytest.approx(0.3)


def test_recognisability_loss_costs_its_penalty() -> None:
    taste, loss = np.ones((2, 1)), np.array([[0.0], [0.4]])
    shift = style_log_odds(taste, loss, ABConfig(style_effect=0.1, recognisability_penalty=0.5))
    assert shift.ravel() == pytest.approx([0.1, 0.1 - 0.2])


def test_nobody_is_no_error() -> None:
    assert style_log_odds(np.empty((0, 3)), np.empty((0, 3)), ABConfig()).shape == (0, 3)


@pytest.mark.parametrize(
    ("taste", "loss", "message"),
    [(np.ones((2, 3)), np.ones((2, 2)), "one shape"), (np.array([[np.nan]]), np.ones((1, 1)), "finite")],
)
def test_unusable_tastes_are_refused(taste: np.ndarray, loss: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        style_log_odds(taste, loss, ABConfig())
