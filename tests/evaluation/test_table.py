"""Oracles: the values a model has by itself, through a table of its own lists; and published ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from evaluation.offline import evaluate
from evaluation.table import TableRanker
from recsys.data import Catalog, Dataset, Interactions
from recsys.errors import DataError, UnknownIdError
from recsys.models.popularity import Popularity

ITEMS = [f"i{i:02d}" for i in range(30)]


@pytest.fixture(scope="module")
def train() -> Dataset:
    rng = np.random.default_rng(0)
    rows = {"user_id": [f"u{u}" for u in rng.integers(0, 40, 300)], "item_id": rng.choice(ITEMS[:20], size=300)}
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": ITEMS}))
    return Dataset.of(Interactions.from_frame(pd.DataFrame(rows)), catalog)


@pytest.mark.parametrize("column", ["rank", "score"])
def test_a_model_and_the_table_of_its_lists_are_equal(train: Dataset, column: str) -> None:
    model = Popularity().fit(train)
    table = model.recommend(train.users, k=30, exclude_seen=False).to_frame()
    table = table[["user_id", "item_id", column]].sample(frac=1, random_state=0)  # rows come in any order
    rng = np.random.default_rng(1)
    test = pd.DataFrame({"user_id": rng.choice(train.users.ids, size=200), "item_id": rng.choice(ITEMS, size=200)})
    found = evaluate(
        {"model": model, "table": TableRanker.from_frame(table, train)},
        Interactions.from_frame(test),
        warm=train.is_warm,
        ks=(3, 10),
        resamples=20,
    )
    for part in found.segments.values():
        ours, theirs = part.values.values()
        np.testing.assert_array_equal(ours, theirs)
    assert {r["difference"] for r in found.compare("model")} == {0.0}


def test_short_tables_give_short_lists(train: Dataset) -> None:
    user = train.users.ids[0]
    seen = train.items.ids[train.matrix[[0], :].nonzero()[1][0]]
    others = [i for i in ITEMS if i not in set(train.items.ids[train.matrix[[0], :].nonzero()[1]])]
    table = pd.DataFrame({"user_id": user, "item_id": [seen, others[0], others[1]], "score": [3, 2, 1]})
    ranker = TableRanker.from_frame(table, train)
    lists, scores = ranker.top_items(np.array([1, 0]), k=3)
    assert lists[0].tolist() == [-1, -1, -1]  # no rows for this user
    assert train.items.decode(lists[1, :2]).tolist() == others[:2]
    assert lists[1, 2] == -1
    assert scores[1].tolist() == [2, 1, -np.inf]
    with_seen, _ = ranker.top_items(np.array([0]), k=2, exclude_seen=False)
    assert train.items.decode(with_seen[0]).tolist() == [seen, others[0]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["i00"]}, "need columns user_id, item_id and rank or score, got user_id, item_id"),
        ({"item_id": ["i00", "i01"], "score": [1, np.nan]}, "score must be a finite number, got 'nan' in row 1"),
        ({"item_id": ["i00", "i01"], "rank": ["1", "two"]}, "rank must be a finite number, got 'two' in row 1"),
        ({"item_id": ["i00", "i01", "i00"], "score": [3, 2, 1]}, "'i00' more than once"),
        ({"item_id": ["i00", "i01"], "rank": [1, 1]}, "two items of rank 1; ranks must be distinct"),
    ],
)
def test_tables_that_cannot_be_judged(train: Dataset, columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        TableRanker.from_frame(pd.DataFrame({"user_id": train.users.ids[0], **columns}), train)


def test_ids_that_nobody_knows(train: Dataset) -> None:
    row = {"user_id": [train.users.ids[0]], "item_id": ["i00"], "rank": [1]}
    for column, value in (("user_id", "nobody"), ("item_id", "nothing")):
        with pytest.raises(UnknownIdError, match=value):
            TableRanker.from_frame(pd.DataFrame(row | {column: [value]}), train)


def test_unknown_rows_can_be_left_out_and_are_counted(train: Dataset) -> None:
    frame = pd.DataFrame({"who": [train.users.ids[0], "nobody", train.users.ids[1]], "what": ["i00", "i01", "gone"]})
    columns = {"user_id": "who", "item_id": "what", "score": "prediction"}
    frame = frame.assign(prediction=[1.0, 2.0, 3.0])
    ranker = TableRanker.from_frame(frame, train, columns=columns, on_unknown="skip")
    assert ranker.about == {"rows": 3, "rows_of_unknown_ids": 2, "users_with_rows": 1, "users": len(train.users)}
    assert train.items.decode(ranker.top_items(np.array([0]), k=1, exclude_seen=False)[0][0]).tolist() == ["i00"]
    with pytest.raises(DataError, match="none of 1 recommendations is of a known user and item"):
        TableRanker.from_frame(frame[1:2], train, columns=columns, on_unknown="skip")
    with pytest.raises(DataError, match="no column 'guess'; there are who, what, prediction"):
        TableRanker.from_frame(frame, train, columns=columns | {"score": "guess"})


def test_ids_that_were_read_as_numbers_are_text_again() -> None:
    rows = pd.DataFrame({"user_id": ["1", "2"], "item_id": ["10", "20"]})
    data = Dataset.of(Interactions.from_frame(rows), Catalog.from_frame(rows[["item_id"]]))
    table = pd.DataFrame({"user_id": [1, 2], "item_id": [20, 10], "score": [0.5, 0.1]})
    assert TableRanker.from_frame(table, data).top_items(np.array([0, 1]), k=1)[0].ravel().tolist() == [1, 0]


def test_test_users_without_rows_are_named_and_count_as_without_a_hit(train: Dataset) -> None:
    user, other = train.users.ids[:2]
    table = pd.DataFrame({"user_id": [user], "item_id": ["i29"], "score": [1.0]})
    test = Interactions.from_frame(pd.DataFrame({"user_id": [user, other], "item_id": ["i29", "i29"]}))
    found = evaluate({"table": TableRanker.from_frame(table, train)}, test, segments=("all",), ks=(5,), resamples=20)
    assert found.mean("table", "recall", 5) == 0.5
    assert any("lists are empty for some of the 2 users: 1 for table / none" in note for note in found.notes())


@pytest.mark.realdata
def test_published_popularity_on_movielens_is_reproduced(data_dir: Path) -> None:
    """The recommenders project, notebook baseline_deep_dive: MovieLens 100K, 75/25 at random with seed 42, k = 10."""
    log = pd.read_csv(data_dir / "ml100k" / "ml-100k.inter.gz", sep="\t", dtype=str)
    log.columns = [name.split(":")[0] for name in log.columns]
    past, later = train_test_split(log[["user_id", "item_id"]], train_size=0.75, random_state=42)
    data = Dataset.of(Interactions.from_frame(past), Catalog.from_frame(past[["item_id"]].drop_duplicates()))
    later = later[later["item_id"].isin(set(past["item_id"]))]
    metrics = ("map_all", "ndcg", "precision", "recall")
    result = evaluate(
        {"popularity": Popularity().fit(data)},
        Interactions.from_frame(later),
        ks=(10,),
        metrics=metrics,
        segments=("all",),
        resamples=20,
    )
    found = [result.mean("popularity", metric, 10) for metric in metrics]
    # Films of equal popularity stand in another order there, and the items of test alone count for it.
    np.testing.assert_allclose(found, [0.055008, 0.252867, 0.224628, 0.111736], atol=0.002)
