"""Oracles: groups small enough to draw by eye, and a comparison broken down by hand."""

import numpy as np
import pytest

from evaluation.offline.groups import Groups, history_groups, popularity_groups
from recsys.errors import ConfigError, DataError


def test_values_make_groups_the_largest_first_the_rest_together() -> None:
    values = ["b", "a", "a", "c", "c", "", None, "d"]
    groups = Groups.of_values("kind", "items", values, most=3)
    assert groups.labels == ("a", "c", "the rest")
    assert groups.codes.tolist() == [2, 0, 0, 1, 1, -1, -1, 2]
    assert Groups.of_values("kind", "items", values, most=4).labels == ("a", "c", "b", "d")


def test_bands_hold_equally_many_as_far_as_ties_allow() -> None:
    values = np.random.default_rng(0).permutation(100).astype(float)
    groups = Groups.of_bands("price", "items", values, bands=5)
    assert np.bincount(groups.codes).tolist() == [20] * 5
    assert groups.labels[0] == "0 to 19"
    assert groups.labels[-1] == "80 to 99"
    tied = Groups.of_bands("price", "items", [1, 1, 1, 1, 2, np.nan], bands=3)
    assert tied.codes.tolist() == [0, 0, 0, 0, 1, -1]
    assert tied.labels == ("1", "2")
    assert Groups.of_bands("price", "items", [np.nan] * 3, bands=3).labels == ()
    assert Groups.of_bands("price", "items", [7.0] * 3, bands=3).labels == ("7",)
    with pytest.raises(ConfigError, match="bands must be >= 1"):
        Groups.of_bands("price", "items", [1.0], bands=0)


def test_popularity_has_cold_items_and_tenths_of_the_warm() -> None:
    counts = np.concatenate([np.zeros(7), np.arange(1, 101)])
    groups = popularity_groups(counts)
    assert len(groups.labels) == 11
    assert np.bincount(groups.codes).tolist() == [7] + [10] * 10
    assert popularity_groups(np.arange(1, 101)).labels[0] == "1 to 10"


def test_histories() -> None:
    groups = history_groups([0, 1, 4, 5, 19, 20, 300])
    assert groups.labels == ("0 to 4", "5 to 19", "20 and more")
    assert groups.codes.tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_codes_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match=r"codes of groups 'x' must lie in \[-1, 1\)"):
        Groups("x", "items", np.array([0, 1]), ("a",))
