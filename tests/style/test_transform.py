"""Category means and reductions against numpy, and what is kept of them on disk."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from recsys.errors import ArtifactError, DataError
from style.transform import FEWEST, CategoryMeans, Transform, load_fitted, save_fitted
from style.whitening import Whitening

RNG = np.random.default_rng(0)
KINDS = np.array(["bag", "shoe", "hat"])[np.arange(90) % 3]
ROWS = (RNG.normal(size=(90, 6)) + 10 * (KINDS == "shoe")[:, None]).astype(np.float32)


def test_every_category_has_mean_zero_afterwards() -> None:
    left = CategoryMeans.fit(ROWS, KINDS.tolist()).apply(ROWS, KINDS.tolist())
    for kind in set(KINDS):
        assert np.abs(left[kind == KINDS].mean(axis=0)).max() < 1e-5


def test_small_unknown_and_blank_categories_lose_the_mean_of_all() -> None:
    labels = ["rare"] * (FEWEST - 1) + [""] * 20 + ["bag"] * (90 - 20 - FEWEST + 1)
    fitted = CategoryMeans.fit(ROWS, labels)
    assert fitted.categories == ("bag",)
    left = fitted.apply(ROWS[:3], ["rare", "", "never seen"])
    assert np.allclose(left, ROWS[:3] - ROWS.mean(axis=0), atol=1e-5)


def test_what_is_left_tells_style_and_no_longer_the_kind() -> None:
    """Rows are kind + style; nearest neighbours are of the kind before, of the style after."""
    style = np.arange(90) // 3 % 5
    kinds, styles = RNG.normal(size=(3, 20)) * 10, RNG.normal(size=(5, 20))
    rows = kinds[np.arange(90) % 3] + styles[style] + 0.1 * RNG.normal(size=(90, 20))
    for x, wanted in ((rows, 1 / 5), (CategoryMeans.fit(rows, KINDS.tolist()).apply(rows, KINDS.tolist()), 1.0)):
        apart = np.linalg.norm(x[:, None] - x, axis=2)
        apart[KINDS[:, None] == KINDS] = np.inf  # the nearest of another kind
        share = (style[apart.argmin(axis=1)] == style).mean()
        assert share == 1.0 if wanted == 1 else share < 1.0


def test_plain_pca_agrees_with_scikit_learn() -> None:
    fitted = Transform.fit(ROWS, "x", dims=3, whiten=False)
    theirs = PCA(3).fit(ROWS.astype(np.float64))
    assert np.allclose(np.abs(fitted.apply(ROWS)), np.abs(theirs.transform(ROWS)), atol=1e-3)  # float32 rows about 10
    assert fitted.provenance["variance_kept"] == pytest.approx(theirs.explained_variance_ratio_.sum())
    assert fitted.provenance | {"variance_kept": 0} == {
        "fitted_on": 90,
        "whiten": False,
        "dims": 3,
        "categories": 0,
        "variance_kept": 0,
    }


def test_fewer_rows_than_columns_give_the_same_as_the_covariance() -> None:
    wide = RNG.normal(size=(20, 50)).astype(np.float32)
    theirs = PCA(5, whiten=True).fit_transform(wide.astype(np.float64))
    assert np.allclose(np.abs(Whitening.fit(wide, 5).apply(wide)), np.abs(theirs), atol=1e-3)


def test_saved_parameters_do_the_same_to_new_rows(tmp_path: Path) -> None:
    fitted = Transform.fit(ROWS, "x", dims=4, labels=KINDS.tolist())
    save_fitted(tmp_path / "x.safetensors", fitted, {"idf": np.arange(3.0)})
    again, learned = load_fitted(tmp_path / "x.safetensors")
    new = RNG.normal(size=(5, 6)).astype(np.float32)
    labels = ["shoe", "hat", "scarf", "", "bag"]
    assert np.array_equal(again.apply(new, labels), fitted.apply(new, labels))
    assert again.provenance == dict(fitted.provenance)
    assert again.key == fitted.key
    assert learned["idf"].tolist() == [0, 1, 2]


def test_nothing_asked_for_leaves_rows_as_they_are(tmp_path: Path) -> None:
    fitted = Transform.fit(ROWS, "x")
    assert np.array_equal(fitted.apply(ROWS), ROWS)
    save_fitted(tmp_path / "x.safetensors", fitted, {})
    assert np.array_equal(load_fitted(tmp_path / "x.safetensors")[0].apply(ROWS), ROWS)


@pytest.mark.parametrize("damage", ["cut", "absent", "other"])
def test_files_that_hold_no_fitted_block(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.safetensors"
    if damage != "absent":
        save_fitted(path, Transform.fit(ROWS, "x", dims=2), {})
        path.write_bytes(path.read_bytes()[:-9] if damage == "cut" else b"{}")
    with pytest.raises(ArtifactError, match="holds no fitted block"):
        load_fitted(path)


def test_constant_rows_warn_and_missing_ones_are_told_by_block() -> None:
    with pytest.warns(UserWarning, match="block 'gram': all 9 rows are the same; it tells nothing"):
        fitted = Transform.fit(np.ones((9, 4), np.float32), "gram", dims=2)
    assert (fitted.apply(np.ones((9, 4))) == 0).all()
    with pytest.raises(DataError, match="block 'gram': 0 usable pictures are too few"):
        Transform.fit(np.empty((0, 4), np.float32), "gram", dims=2)
    with pytest.raises(DataError, match="give the items' categories"):
        Transform.fit(ROWS, "gram", labels=KINDS.tolist()).apply(ROWS)
