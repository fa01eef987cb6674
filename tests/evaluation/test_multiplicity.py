"""Oracles: statsmodels, and simulation of what each adjustment controls."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from evaluation.multiplicity import ADJUSTMENTS, benjamini_hochberg, check_adjustment, holm
from recsys.errors import ConfigError, DataError

THEIRS = {"holm": "holm", "bh": "fdr_bh"}


@pytest.mark.parametrize("name", list(ADJUSTMENTS))
@pytest.mark.parametrize("size", [1, 2, 5, 30])
def test_adjusted_as_statsmodels_does_each_column_a_family(name: str, size: int) -> None:
    p_values = np.round(np.random.default_rng(size).random((size, 3)) ** 3, 2)  # rounded: ties and zeros
    expected = np.stack([multipletests(p, method=THEIRS[name])[1] for p in p_values.T], axis=1)
    np.testing.assert_allclose(ADJUSTMENTS[name](p_values), expected, atol=1e-12)
    np.testing.assert_allclose(ADJUSTMENTS[name](p_values[:, 0]), expected[:, 0], atol=1e-12)


def test_holm_controls_any_and_bh_the_share_of_false_positives() -> None:
    rng, families = np.random.default_rng(0), 4000
    truly_different = np.arange(10) < 5
    p = np.where(truly_different[:, None], rng.beta(0.1, 8, size=(10, families)), rng.random((10, families)))
    found = {name: adjust(p) <= 0.05 for name, adjust in ADJUSTMENTS.items()}
    wrong = {name: (f & ~truly_different[:, None]) for name, f in found.items()}
    slack = 3.5 * np.sqrt(0.05 * 0.95 / families)
    assert wrong["holm"].any(axis=0).mean() <= 0.05 + slack
    shares = wrong["bh"].sum(axis=0) / np.maximum(found["bh"].sum(axis=0), 1)
    assert shares.mean() == pytest.approx(0.05 * 5 / 10, abs=slack)  # exactly so for independent tests
    assert found["bh"].sum() > found["holm"].sum()  # what mildness buys


def test_what_is_no_p_value_is_refused() -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(DataError, match=r"p-values must lie in \[0, 1\]"):
            adjust([0.5, np.nan])
    with pytest.raises(ConfigError, match="unknown adjustment 'bonferoni'"):
        check_adjustment("bonferoni")
