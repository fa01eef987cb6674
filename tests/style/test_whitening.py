"""PCA whitening against its definition and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from recsys.errors import ArtifactError, ConfigError, DataError
from style.whitening import Whitening

RNG = np.random.default_rng(0)
MIXED = (RNG.normal(size=(400, 6)) @ RNG.normal(size=(6, 6)) + 3).astype(np.float32)


def test_rows_it_was_fitted_on_get_zero_mean_and_unit_covariance() -> None:
    white = Whitening.fit(MIXED, 6).apply(MIXED)
    assert white.dtype == np.float32
    assert np.allclose(white.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(np.cov(white.T), np.eye(6), atol=1e-4)  # float32 sums of 400 rows


def test_agrees_with_scikit_learn_up_to_signs() -> None:
    ours = Whitening.fit(MIXED, 3).apply(MIXED)
    theirs = PCA(3, whiten=True).fit_transform(MIXED.astype(np.float64))
    assert np.allclose(np.abs(ours), np.abs(theirs), atol=1e-4)


def test_fewer_rows_or_dimensions_than_asked_for() -> None:
    assert Whitening.fit(MIXED, 100).apply(MIXED).shape == (400, 6)
    assert Whitening.fit(MIXED[:4], 100).apply(MIXED).shape == (400, 3)  # four points span three directions


def test_directions_without_variance_are_not_blown_up() -> None:
    flat = np.c_[MIXED[:, :2], np.full(400, 7, np.float32)]
    white = Whitening.fit(flat, 3).apply(flat + np.float32([0, 0, 1e-3]))
    assert np.abs(white[:, 2]).max() < 0.1  # floor 1e-4 of the largest variance bounds the gain to 100 / its deviation
    same = np.ones((5, 3), np.float32)
    assert np.array_equal(Whitening.fit(same, 3).apply(same), np.zeros((5, 3)))


def test_every_row_counts_when_there_are_more_than_are_used() -> None:
    ordered = np.sort(RNG.normal(size=(5000, 1)), axis=0)  # the first 100 alone would have a mean far below 0
    fitted = Whitening.fit(ordered, 1, most=100)
    assert abs(float(fitted.mean[0]) - float(ordered.mean())) < 0.1


def test_saved_and_loaded_it_does_the_same(tmp_path: Path) -> None:
    fitted = Whitening.fit(MIXED, 4)
    fitted.save(tmp_path / "w.safetensors")
    assert np.array_equal(Whitening.load(tmp_path / "w.safetensors").apply(MIXED), fitted.apply(MIXED))


def test_files_that_hold_no_whitening(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no whitening"):
        Whitening.load(tmp_path / "absent")
    Whitening.fit(MIXED, 4).save(tmp_path / "w")
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:-8])
    with pytest.raises(ArtifactError, match="fit it again"):
        Whitening.load(tmp_path / "w")


def test_what_cannot_be_fitted_or_applied() -> None:
    with pytest.raises(DataError, match="at least 2 rows, got 1"):
        Whitening.fit(MIXED[:1], 2)
    with pytest.raises(ConfigError, match="dims >= 1, got 0"):
        Whitening.fit(MIXED, 0)
    with pytest.raises(DataError, match="NaN"):
        Whitening.fit(np.array([[0, 1], [np.nan, 2]]), 1)
    with pytest.raises(DataError, match="fitted on 6 dimensions"):
        Whitening.fit(MIXED, 2).apply(MIXED[:, :5])
