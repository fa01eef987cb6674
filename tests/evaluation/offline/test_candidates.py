"""Oracles: pools small enough to judge by eye, and real purchases, whose pool of bought articles is known to leak."""

from pathlib import Path

import pandas as pd
import pytest

from evaluation.offline import evaluate
from evaluation.offline.candidates import Candidates, candidate_notes
from evaluation.offline.rankers import ItemScores
from evaluation.splits import SplitConfig, split
from recsys.data import Catalog, Dataset, IdMap, Interactions
from recsys.errors import DataError, UnknownIdError

ITEMS = IdMap.of([f"i{i:02d}" for i in range(40)])


def log(pairs: list[tuple[str, str, int]]) -> Interactions:
    frame = pd.DataFrame(pairs, columns=["user_id", "item_id", "day"])
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    return Interactions.from_frame(frame.assign(timestamp=times))


# Items 0 to 9 are bought before, 5 to 24 later, 25 to 39 never.
ROWS = [("u", f"i{i:02d}", i) for i in range(10)] + [("v", f"i{i:02d}", 20 + i) for i in range(5, 25)]
PARTS = split(log([("v", "i00", 0), *ROWS]), SplitConfig(quantile=0.34))


def test_what_a_pool_knows_of_the_future_is_counted() -> None:
    assert PARTS.about["train_last"] == "2024-01-10"
    found = Candidates.whole(ITEMS).check(PARTS, ITEMS)
    assert (found["candidates"], found["unseen"]) == (40, 30)
    assert found["unseen_chosen_later"] == 15 / 30
    assert found["seen_chosen_later"] == 5 / 10
    assert found["gives_the_answer_away"] is False
    assert candidate_notes(found)[0].startswith("Candidates: the whole catalogue, of no stated day; 40 items, 30")


def test_a_pool_of_bought_items_gives_the_answer_away() -> None:
    bought = Candidates.of_ids(ITEMS, [f"i{i:02d}" for i in range(25)], source="bought at any time")
    found = bought.check(PARTS, ITEMS)
    assert (found["unseen"], found["unseen_chosen_later"], found["gives_the_answer_away"]) == (15, 1.0, True)
    assert "gives the answer away" in candidate_notes(found)[1]
    few = Candidates.of_ids(ITEMS, ["i00", "i10"], source="two", as_of="2024-01-10").check(PARTS, ITEMS)
    assert few["gives_the_answer_away"] is None  # one unseen item says nothing
    seen = Candidates.of_ids(ITEMS, ["i00", "i01"], source="old").check(PARTS, ITEMS)
    assert (seen["unseen"], seen["unseen_chosen_later"]) == (0, None)
    assert len(candidate_notes(seen)) == 1


def test_items_are_available_from_their_day_on() -> None:
    dates = ["2024-01-01", "2024-02-01", "2024-02-02", ""]
    pool = Candidates.available(IdMap.of("abcd"), dates, as_of="2024-02-01", source="launched")
    assert pool.allowed.tolist() == [True, True, False, True]
    assert (pool.as_of, pool.n_undated) == ("2024-02-01", 1)
    with pytest.raises(DataError, match="launched must hold a date for each of 2 items, got 0 readable"):
        Candidates.available(IdMap.of("ab"), ["soon", "later"], as_of="2024-02-01", source="launched")
    with pytest.raises(DataError, match="no item is a candidate: launched, as of 2023-01-01"):
        Candidates.available(IdMap.of("ab"), dates[:2], as_of="2023-01-01", source="launched")
    with pytest.raises(UnknownIdError, match="'z'"):
        Candidates.of_ids(IdMap.of("ab"), ["z"], source="list")


def test_candidates_bound_lists_and_relevant_items() -> None:
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": ITEMS.ids}))
    data = Dataset.of(PARTS.train, catalog)
    model = ItemScores.bias_only(data)
    pool = Candidates.of_ids(ITEMS, [f"i{i:02d}" for i in range(20)], source="first twenty")
    result = evaluate({"bias-only": model}, PARTS.test, warm=data.is_warm, ks=(30,), candidates=pool, resamples=20)
    counts = result.counts()
    assert [counts[s]["candidates"] for s in ("all", "warm", "cold")] == [20, 10, 10]
    assert result.n_outside == 5  # i20 to i24 of v
    assert counts["all"]["relevant_items"] == 15
    assert result.mean("bias-only", "recall", 30) == 1.0  # of what can be listed
    assert any(note.startswith("5 choices of the test are of items that are no candidates") for note in result.notes())


@pytest.mark.realdata
def test_real_purchases_the_pool_of_bought_articles_leaks(data_dir: Path) -> None:
    """Among all bought articles the unseen are known to be bought later; among the catalogue they are not."""
    folder = data_dir / "hm_fashion"
    columns = {"user_id": "user", "item_id": "article_id", "timestamp": "t_dat"}
    catalog = Catalog.read(folder / "items.csv.gz", columns={"item_id": "article_id"})
    items = IdMap.of(catalog.ids)
    purchases = Interactions.read(folder / "transactions.csv.gz", columns=columns, catalog=catalog)
    parts = split(purchases, SplitConfig(quantile=0.8))
    bought = Candidates.of_ids(items, purchases.frame["item_id"].unique(), source="bought at any time")
    assert bought.check(parts, items)["gives_the_answer_away"] is True
    whole = Candidates.whole(items).check(parts, items)
    assert whole["gives_the_answer_away"] is False
    assert whole["unseen_chosen_later"] < 0.5


def test_a_pool_of_a_later_day_says_so() -> None:
    items = IdMap.of(["a", "b"])
    log = pd.DataFrame({"user_id": "u", "item_id": ["a", "b"], "timestamp": ["2024-01-01", "2024-03-01"]})
    parts = split(Interactions.from_frame(log), SplitConfig(quantile=0.5))
    found = {
        day: Candidates.of_ids(items, ["a", "b"], source="shop window", as_of=day).check(parts, items)
        for day in ("2024-01-01", "2024-02-01", None)
    }
    assert [one["after_train"] for one in found.values()] == [False, True, None]
    assert "That day is after the end of train" in candidate_notes(found["2024-02-01"])[0]
    assert "of no stated day" in candidate_notes(found[None])[0]
