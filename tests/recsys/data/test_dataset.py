"""Oracle: a dense matrix filled by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys.data import Catalog, Dataset, FeatureBlock, FeatureTable, IdMap, Interactions
from recsys.errors import ConfigError, DataError, UnknownIdError

CATALOG = Catalog.from_frame(pd.DataFrame({"item_id": ["c", "a", "b", "cold"]}))
LOG = Interactions.from_frame(
    pd.DataFrame(
        [
            ("v", "a", "2024-01-01", 1),
            ("u", "a", "2024-01-02", 2),
            ("u", "a", "2024-01-03", 3),
            ("u", "b", "2024-01-04", 0),
        ],
        columns=["user_id", "item_id", "timestamp", "weight"],
    )
)


def test_ids_become_integers_and_weights_add_up() -> None:
    data = Dataset.of(LOG, CATALOG)
    assert list(data.users) == ["u", "v"]  # sorted, whatever the order of the log
    assert list(data.items) == ["c", "a", "b", "cold"]  # the catalogue's order
    assert data.matrix.toarray().tolist() == [[0, 5, 0, 0], [0, 1, 0, 0]]
    assert data.matrix.dtype == np.float32
    assert data.is_warm.tolist() == [False, True, False, False]  # weight 0 warms nothing
    assert data.timestamp.astype("datetime64[D]").astype(str).tolist()[0] == "2024-01-01"


def test_items_the_catalogue_lacks_and_empty_logs_are_errors() -> None:
    with pytest.raises(UnknownIdError, match="ids are unknown, first 'a'"):
        Dataset.of(LOG, Catalog.from_frame(pd.DataFrame({"item_id": ["b"]})))
    with pytest.raises(DataError, match="no interactions are left"):
        Dataset.of(Interactions(LOG.frame[:0], LOG.rejected), CATALOG)


def test_features_follow_the_items_and_can_be_exchanged() -> None:
    values = np.arange(4, dtype=np.float32)[:, None]
    block = FeatureBlock("x", values)
    data = Dataset.of(LOG, CATALOG, item_features=FeatureTable(IdMap.of(["a", "b", "c", "cold"]), (block,)))
    assert data.item_features["x"].values[:, 0].tolist() == [2, 0, 1, 3]
    other = data.with_item_features(FeatureTable(data.items, (FeatureBlock("x", values),)))
    assert other.item_features["x"].values[:, 0].tolist() == [0, 1, 2, 3]
    assert (other.matrix != data.matrix).nnz == 0
    assert Dataset.of(LOG, CATALOG).item_features.names == ()
    with pytest.raises(UnknownIdError):
        Dataset.of(LOG, CATALOG, item_features=FeatureTable(IdMap.of(["a"]), (block.rows([0]),)))


EVENTS = Interactions.from_frame(
    pd.DataFrame(
        [
            ("u", "a", "2024-01-01", 1, "purchase"),
            ("u", "b", "2024-01-31", 2, "view"),
            ("v", "a", "2024-03-01", 1, "cart"),
        ],
        columns=["user_id", "item_id", "timestamp", "weight", "event"],
    )
)
WEIGHTS = {"view": 1, "cart": 3, "purchase": 5}


def test_events_and_age_multiply_weights() -> None:
    by_event = Dataset.of(EVENTS, CATALOG, event_weights=WEIGHTS)
    assert by_event.matrix.toarray().tolist() == [[0, 5, 2, 0], [0, 3, 0, 0]]
    # 60 days before the last interaction are two half-lives, 30 are one
    both = Dataset.of(EVENTS, CATALOG, event_weights=WEIGHTS, half_life_days=30)
    assert both.matrix.toarray().tolist() == [[0, 1.25, 1, 0], [0, 3, 0, 0]]
    aged = Dataset.of(EVENTS, CATALOG, half_life_days=30.0)
    assert aged.matrix.toarray().tolist() == [[0, 0.25, 1, 0], [0, 1, 0, 0]]
    ignored = Dataset.of(EVENTS, CATALOG, event_weights=WEIGHTS | {"view": 0, "unheard of": 9})
    assert ignored.is_warm.tolist() == [False, True, False, False]


def test_an_event_without_a_weight_is_an_error_that_lists_them() -> None:
    with pytest.raises(DataError, match=r"names \['view'\], the log also has 'cart', 'purchase'; give each a weight"):
        Dataset.of(EVENTS, CATALOG, event_weights={"view": 1})
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="weight of event 'view' must be >= 0"):
            Dataset.of(EVENTS, CATALOG, event_weights=WEIGHTS | {"view": weight})


def test_decay_needs_a_half_life_and_times() -> None:
    for days in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="half_life_days must be > 0"):
            Dataset.of(EVENTS, CATALOG, half_life_days=days)
    timeless = Interactions.from_frame(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]}))
    with pytest.raises(DataError, match="1 interactions have none"):
        Dataset.of(timeless, CATALOG, half_life_days=1.0)


def test_however_old_an_interaction_it_happened() -> None:
    aged = Dataset.of(EVENTS, CATALOG, half_life_days=0.1)  # 2 ** -600 is 0 in float32
    assert (aged.weight > 0).all()
    assert aged.is_warm.tolist() == [False, True, True, False]


def test_a_weight_whose_square_would_leave_float32_is_an_error() -> None:
    for weight in (1e13, 1e39):
        with pytest.raises(DataError, match=r"must be at most 1e\+12, got .*; lower event_weights"):
            Dataset.of(EVENTS, CATALOG, event_weights=WEIGHTS | {"view": weight})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": np.array([1, -1, 1, 1], np.float32)}, r"must lie in \[0, 1e\+12\], got -1 to 1"),
        ({"weight": np.array([1, np.nan, 1, 1], np.float32)}, r"must lie in \[0, 1e\+12\], got nan"),
        ({"weight": np.array([1, 2e12, 1, 1], np.float32)}, r"must lie in \[0, 1e\+12\], got 1 to 2e\+12"),
        ({"weight": np.ones(3, np.float32)}, "must be equally long, got .*'weight': 3"),
        ({"item_idx": np.array([0, 1, 2, 4])}, r"item_idx must lie in \[0, 4\), got 0 to 4"),
        ({"user_idx": np.array([0, 1, 1, -1])}, r"user_idx must lie in \[0, 2\), got -1 to 1"),
        ({"user_idx": np.zeros(4)}, "user_idx must hold integers, got float64"),
        ({"item_features": FeatureTable(IdMap.of(["a", "b", "c", "cold"]))}, r"give item_features\.align\(items\)"),
        ({"user_features": FeatureTable(IdMap.of(["v", "u"]))}, r"give user_features\.align\(users\)"),
    ],
)
def test_a_dataset_made_by_hand_is_checked(changes, message) -> None:
    with pytest.raises(DataError, match=message):
        replace(Dataset.of(LOG, CATALOG), **changes)


def test_user_features_follow_the_users() -> None:
    block = FeatureBlock("age", np.array([[1.0], [2.0]], dtype=np.float32))
    data = Dataset.of(LOG, CATALOG, user_features=FeatureTable(IdMap.of(["v", "u"]), (block,)))
    assert data.user_features["age"].values[:, 0].tolist() == [2, 1]


def test_users_known_by_their_features_alone_belong_to_the_dataset() -> None:
    block = FeatureBlock("age", np.array([[1.0], [2.0], [3.0]], dtype=np.float32))
    data = Dataset.of(LOG, CATALOG, user_features=FeatureTable(IdMap.of(["v", "new", "u"]), (block,)))
    assert list(data.users) == ["new", "u", "v"]
    assert data.user_features["age"].values[:, 0].tolist() == [2, 3, 1]
    assert data.matrix.toarray().tolist() == [[0, 0, 0, 0], [0, 5, 0, 0], [0, 1, 0, 0]]
    with pytest.raises(UnknownIdError, match="1 of 2 ids are unknown, first 'u'"):
        Dataset.of(LOG, CATALOG, user_features=FeatureTable(IdMap.of(["v"]), (block.rows([0]),)))
