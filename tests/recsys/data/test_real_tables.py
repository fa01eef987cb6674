"""The counts are those of the data's own description (SOURCE.txt) and of the standard library's csv reader."""

import csv
import gzip
from pathlib import Path

import pytest

from recsys.data import Catalog, Dataset, Interactions
from recsys.data.source import summarize_rejected

pytestmark = pytest.mark.realdata


def test_fashion_purchases(data_dir: Path) -> None:
    folder = data_dir / "hm_fashion"
    names = {"item_id": "article_id", "title": "prod_name", "category": "product_type_name"}
    catalog = Catalog.read(folder / "items.csv.gz", columns=names, where={"in_transactions": 1})
    assert (len(catalog), catalog.n_filtered, len(catalog.rejected)) == (17_033, 24_717 - 17_033, 0)
    assert set(map(len, catalog.ids)) == {10}  # the leading zero
    columns = {"user_id": "user", "item_id": "article_id", "timestamp": "t_dat"}
    log = Interactions.read(folder / "transactions.csv.gz", columns=columns, catalog=catalog)
    with gzip.open(folder / "transactions.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    distinct = set(map(tuple, rows))
    assert len(rows) == 31_662
    assert len(log) == len(distinct)
    [refused] = summarize_rejected(log.rejected)
    assert (refused["reason"], refused["count"]) == ("exact duplicate of an earlier row", 31_662 - len(distinct))
    assert str(log.frame["timestamp"].min().date()) == "2018-09-20"
    assert str(log.frame["timestamp"].max().date()) == "2020-09-22"
    data = Dataset.of(log, catalog)
    assert data.matrix.shape == (1_364, 17_033)
    assert data.matrix.nnz == 27_443  # distinct user-article pairs
    assert data.is_warm.all()


def test_ratings_with_tabs_and_epoch_seconds(data_dir: Path) -> None:
    folder = data_dir / "ml100k"
    items = {"item_id": "item_id:token", "title": "movie_title:token_seq", "category": "class:token_seq"}
    catalog = Catalog.read(folder / "ml-100k.item.gz", columns=items)
    columns = {"user_id": "user_id:token", "item_id": "item_id:token", "timestamp": "timestamp:float"}
    columns["weight"] = "rating:float"
    log = Interactions.read(folder / "ml-100k.inter.gz", columns=columns, catalog=catalog)
    assert (len(catalog), len(log), len(log.rejected)) == (1_682, 100_000, 0)
    assert log.frame["user_id"].nunique() == 943
    assert sorted(log.frame["weight"].unique()) == [1, 2, 3, 4, 5]
    assert str(log.frame["timestamp"].min()) == "1997-09-20 03:05:10"  # 874724710 s, the log's first
