"""Groups stay whole, classes stay even, hashes see through a crop and a colour."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ConfigError, DataError
from style.classify.groups import (
    BITS,
    PerceptualHash,
    group_folds,
    merge_groups,
    near_duplicates,
    split_groups,
    title_groups,
)
from style.classify.labels import Labels
from style.images import decode, encode_jpeg, resize
from style.imagestore import ImageStore

RNG = np.random.default_rng(0)


def names(n: int) -> list[str]:
    return [f"i{i}" for i in range(n)]


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=30)
def test_no_group_straddles_folds_and_every_class_is_dealt_evenly(seed: int, n_folds: int) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    groups = rng.integers(0, 150, n)
    style = rng.choice(["a", "b", "c"], 150, p=[0.7, 0.2, 0.1])[groups]
    labels = Labels.of(names(n), style)
    fold = group_folds(labels, groups, n_folds, seed=seed)
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
    largest = np.bincount(groups).max()
    for c in range(3):
        share = np.bincount(fold[labels.codes == c], minlength=n_folds)
        assert share.max() - share.min() <= 2 * largest  # off by a group at either end


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.3, 0.5]))
@settings(max_examples=30)
def test_a_split_keeps_groups_whole_and_has_every_class_on_both_sides(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 100, 300)
    groups[:3] = 100, 101, 101  # the rare class: two groups of one and two
    style = np.array(["common"] * 300, dtype=object)
    style[:3] = "rare"
    labels = Labels.of(names(300), style)
    out = split_groups(labels, groups, share, seed=seed)
    assert not set(groups[out]) & set(groups[~out])
    assert set(labels.codes[out]) == set(labels.codes[~out]) == {0, 1}
    assert abs(out.mean() - share) < 0.05


def test_folds_are_the_same_for_the_same_seed_only() -> None:
    labels = Labels.of(names(60), ["a", "b"] * 30)
    folds = [group_folds(labels, np.arange(60), 5, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(folds[0], folds[1])
    assert not np.array_equal(folds[0], folds[2])


def test_a_class_in_one_group_is_named() -> None:
    labels = Labels.of(names(5), ["a", "a", "b", "b", "b"])
    with pytest.raises(DataError, match=r"class 'b' has all its examples in one group .* \(item 'i2'\)"):
        group_folds(labels, np.array([0, 1, 2, 2, 2]), 2)
    with pytest.raises(ConfigError, match="folds must be >= 2, got 1"):
        group_folds(labels, np.arange(5), 1)


def test_colour_ways_share_a_title() -> None:
    titles = ["Nike Men Blue T-shirt", "NIKE men, black T-Shirt", "Nike Women Blue T-shirt", ""]
    assert title_groups(titles).tolist() == [0, 0, 1, 2]


def test_merged_groups_are_the_components_of_both() -> None:
    a, b = np.array([0, 0, 1, 2, 3]), np.array([7, 8, 8, 9, 9])
    assert merge_groups(a, b).tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(DataError, match=r"same rows, got \[5, 4\]"):
        merge_groups(a, b[:4])


def test_near_duplicates_are_those_of_every_pair() -> None:
    rows = RNG.normal(size=(60, 4)).astype(np.float32)
    rows[30:] = rows[:30] * 3 + 0.01
    rows[5] = 0
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    near = unit @ unit.T >= 0.99
    for _ in range(6):  # reach, by squaring
        near = near @ near
    expected = near | np.eye(60, dtype=bool)
    found = near_duplicates(rows, alike=0.99)
    assert np.array_equal(found[:, None] == found, expected)


@pytest.mark.realdata
def test_hashes_know_a_photo_saved_again_and_in_another_colour_and_tell_others_apart(data_dir: Path) -> None:
    with ImageStore.open(data_dir / "fashion_products" / "images.zip") as store:
        photos = [decode(store.read(name)).pixels for name in sorted(store.names())[:60]]
    tint = np.array([0.9, 0.6, 0.5])
    again = [decode(encode_jpeg(resize(p[None], 150)[0], 70)).pixels for p in photos]
    coloured = [np.where(p.min(2, keepdims=True) < 235, p * tint, p).astype(np.uint8) for p in photos]
    first, second, third = (
        PerceptualHash().encode(np.stack([resize(p[None], 32)[0] for p in shown]))
        for shown in (photos, again, coloured)
    )
    differing = (64 - first @ np.concatenate([second, third]).T) / 2
    saved, recoloured = differing[:, :60], differing[:, 60:]
    assert np.diag(saved).max() <= 6
    assert (np.diag(recoloured) <= BITS).mean() > 0.8
    assert np.median(saved[~np.eye(60, dtype=bool)]) > 24  # of unrelated pictures, about half of 64
    one_row = np.ones((120, 3), np.float32)  # all alike to the encoder: the hash decides
    found = near_duplicates(one_row, hashes=np.concatenate([first, second]), bits=0)
    assert len(set(found)) > 55
    assert PerceptualHash().encode(np.empty((0, 32, 32, 3), np.uint8)).shape == (0, 64)
