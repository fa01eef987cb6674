"""The closed form of the item-side bias, and the choices of simulated shoppers."""

import numpy as np
import pytest

from evaluation.experiment.designs import item_side_lift, roll_out_lift
from recsys.errors import ConfigError, DataError


def test_the_roll_out_gains_less_than_the_item_side_test_says() -> None:
    baseline = np.array([0.05, 0.2, 0.5, 0.8])
    assert 100 * roll_out_lift(baseline, 1.1) == pytest.approx([9.45, 7.84, 4.76, 1.85], abs=0.005)
    for p in baseline:
        slate = np.full(10, p / (1 - p) / 10)
        assert item_side_lift(slate, np.arange(10) % 2 == 0, 1.1) == pytest.approx(0.1)


@pytest.mark.parametrize("p", [0.2, 0.8])
def test_simulated_shoppers_choose_so(p: float) -> None:
    rng = np.random.default_rng(0)
    shoppers, base = 400_000, np.full(10, p / (1 - p) / 10)
    look = np.arange(10) % 2 == 0

    def clicks(attraction: np.ndarray) -> np.ndarray:
        chance = np.append(attraction, 1.0) / (1 + attraction.sum())
        return rng.multinomial(shoppers, chance)[:-1]

    before, after, mixed = clicks(base), clicks(1.1 * base), clicks(np.where(look, 1.1, 1.0) * base)
    # Standard errors: of the lift about √(2 (1 - p) / (p n)), of the naive ratio about √(4 / (p n)).
    assert after.sum() / before.sum() - 1 == pytest.approx(
        float(roll_out_lift(p, 1.1)), abs=4 * np.sqrt(2 * (1 - p) / (p * shoppers))
    )
    naive = mixed[look].sum() / mixed[~look].sum() - 1
    assert naive == pytest.approx(0.1, abs=4 * np.sqrt(4 / (p * shoppers)))


def test_what_is_no_slate_is_refused() -> None:
    with pytest.raises(ConfigError, match="baseline must lie in"):
        roll_out_lift(1.2, 1.1)
    with pytest.raises(DataError, match="treated and control items"):
        item_side_lift([1.0], [True], 1.1)
