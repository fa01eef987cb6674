import numpy as np
import pandas as pd

from recsys.data.rejected import REJECTED, Sieve, join_rejected, reject, summarize_rejected


def test_hostile_text_can_be_written(tmp_path) -> None:
    frame = reject("catalog", [0, 1, 2], ["\0", "\ud83d", "x" * 500], "item_id", "bad", [None, 3, ""])
    frame.to_parquet(tmp_path / "rejected.parquet")
    assert frame["id"].tolist() == ["\\0", "\\ud83d", "x" * 79 + "…"]
    assert frame["value"].tolist() == ["", "3", ""]
    assert tuple(frame.columns) == REJECTED


def test_nothing_refused_has_the_same_columns() -> None:
    assert tuple(reject("catalog").columns) == REJECTED == tuple(join_rejected([]).columns)
    assert len(reject("catalog")) == 0
    assert summarize_rejected(reject("catalog")) == []


def test_a_row_is_refused_once_with_its_first_reason_and_place() -> None:
    written = pd.DataFrame({"sku": ["a", "b", "c"], "n": [1, 2, 3]}, index=[10, 20, 30])
    sieve = Sieve("catalog", written, "sku")
    sieve.refuse(np.array([False, True, True]), "n", "first")
    sieve.refuse(np.array([True, True, False]), "sku", "second")
    sieve.note(np.array([True, True, True]), "n", "all are gone, nobody to say this of")
    assert sieve.keep.tolist() == [False, False, False]
    assert sieve.rejected.to_dict("records") == [
        {"source": "catalog", "row": 10, "id": "a", "field": "sku", "reason": "second", "value": "a"},
        {"source": "catalog", "row": 20, "id": "b", "field": "n", "reason": "first", "value": "2"},
        {"source": "catalog", "row": 30, "id": "c", "field": "n", "reason": "first", "value": "3"},
    ]


def test_the_summary_counts_every_row_commonest_first() -> None:
    frame = join_rejected(
        [
            reject("catalog", [5], "", "", "line has 1 fields instead of 2", "x"),
            reject("interactions", [1, 2], ["i", "j"], "weight", "weight is negative", ["-1", "-2"]),
            reject("catalog", [0], "a", "item_id", "duplicate", "a"),
        ]
    )
    assert frame["row"].tolist() == [0, 1, 2, 5]
    assert [(e["source"], e["count"], e["example"]) for e in summarize_rejected(frame)] == [
        ("interactions", 2, "row 1, i, weight = '-1'"),
        ("catalog", 1, "row 0, a"),
        ("catalog", 1, "row 5, 'x'"),
    ]
