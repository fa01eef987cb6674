"""Oracle: a dense matrix filled by hand."""

import numpy as np
import pandas as pd
import pytest

from recsys.data import Catalog, Dataset, FeatureBlock, FeatureTable, IdMap, Interactions
from recsys.errors import DataError, UnknownIdError

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


def test_user_features_follow_the_users() -> None:
    block = FeatureBlock("age", np.array([[1.0], [2.0]], dtype=np.float32))
    data = Dataset.of(LOG, CATALOG, user_features=FeatureTable(IdMap.of(["v", "u"]), (block,)))
    assert data.user_features["age"].values[:, 0].tolist() == [2, 1]
