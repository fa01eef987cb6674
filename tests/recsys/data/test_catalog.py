"""Catalogues as shops really export them: nothing lost in silence."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data import Catalog
from recsys.errors import ArtifactError, DataError


def reasons(frame: pd.DataFrame) -> dict[int, str]:
    return dict(zip(frame["row"], frame["reason"], strict=True))


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_leading_zeros_paths_and_emoji_survive_every_format(tmp_path: Path, suffix: str) -> None:
    ids = ["007", "8", "👗", "../../x", " 9", "a\nb", "NA", "Ünï"]
    frame = pd.DataFrame({"item_id": ids, "n": range(len(ids))})
    path = tmp_path / f"items.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    catalog = Catalog.read(path)
    assert list(catalog.ids) == ids
    assert all(type(i) is str for i in catalog.ids)
    catalog.save(tmp_path / "catalog.parquet")
    assert list(Catalog.load(tmp_path / "catalog.parquet").ids) == ids


def test_bad_ids_are_refused_with_place_and_reason() -> None:
    ids = ["a", "", "b\0", "a", " ", None, "\ud83d", 1, 1.0, "1", "B"]
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": pd.Series(ids, dtype=object)}))
    again = "id appeared before; the first row is used"
    assert list(catalog.ids) == ["a", "1", "B"]
    assert reasons(catalog.rejected) == {
        1: "empty id",
        2: "id contains a NUL character",
        3: again,
        4: "empty id",
        5: "empty id",
        6: "id is not valid Unicode",
        8: again,
        9: again,
    }


@settings(max_examples=50)
@given(st.lists(st.text(max_size=3), min_size=1, max_size=30))
def test_every_row_is_kept_or_refused_once(ids: list[str]) -> None:
    frame = pd.DataFrame({"item_id": pd.Series([*ids, "an id"], dtype=object)})
    catalog = Catalog.from_frame(frame)
    good = [i for i in ids if i.strip() and "\0" not in i] + ["an id"]
    assert list(catalog.ids) == list(dict.fromkeys(good))  # the first of each, in order
    assert len(catalog) + len(catalog.rejected) == len(frame)
    assert catalog.rejected["row"].is_unique


def test_the_first_of_two_rows_gives_the_details() -> None:
    frame = pd.DataFrame({"item_id": ["a", "a"], "title": ["first", "second"]})
    assert Catalog.from_frame(frame).frame["title"].tolist() == ["first"]


def test_a_price_that_is_none_is_noted_and_the_item_kept() -> None:
    prices = ["1.5", "", "cheap", "3,5", "-1", "inf", "1e39", None, "0"]
    frame = pd.DataFrame({"item_id": [str(i) for i in range(9)], "price": prices})
    catalog = Catalog.from_frame(frame)
    assert len(catalog) == 9
    assert catalog.frame["price"].dtype == np.float32
    np.testing.assert_array_equal(catalog.frame["price"], np.float32([1.5, *[np.nan] * 7, 0]))
    no_number, negative = "price is not a number; kept without price", "price is negative; kept without price"
    assert reasons(catalog.rejected) == {2: no_number, 3: no_number, 4: negative, 5: no_number, 6: no_number}
    assert catalog.rejected["value"].tolist() == ["cheap", "3,5", "-1", "inf", "1e39"]


def test_what_is_not_given_has_a_default() -> None:
    frame = pd.DataFrame({"sku": [1, 2], "image": ["front.png", None], "brand": ["x", None]})
    catalog = Catalog.from_frame(frame, columns={"item_id": "sku"})
    assert catalog.frame.drop(columns="price").to_dict("records") == [
        {"item_id": "1", "title": "", "category": "", "image": "front.png", "brand": "x"},
        {"item_id": "2", "title": "", "category": "", "image": "2.jpg", "brand": ""},
    ]
    assert catalog.frame["price"].isna().all()


def test_further_columns_of_any_type_can_be_stored(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "item_id": [1, 2],
            "number": [1.5, 2],
            "whole": pd.array([1, None], dtype="Int64"),
            "flag": [True, False],
            "maybe": pd.array([True, None], dtype="boolean"),
            "time": pd.to_datetime(["2020", "2021"]).astype("datetime64[ns]"),
            "zoned": pd.to_datetime(["2020", "2021"], utc=True).astype("datetime64[ns, UTC]"),
            "kind": pd.Categorical(["x", None]),
            "mixed": pd.Series([1, "a"], dtype=object),
            "listed": pd.Series([[1, 2], None], dtype=object),
            "broken": pd.Series(["x\ud83d", "y"], dtype=object),
        }
    )
    catalog = Catalog.from_frame(frame)
    assert catalog.frame[["maybe", "kind", "mixed", "listed", "broken"]].to_numpy().tolist() == [
        ["true", "x", "1", "[1, 2]", "x?"],
        ["", "", "a", "", "y"],
    ]
    assert catalog.frame["whole"].tolist()[0] == 1.0
    assert catalog.rejected["reason"].str.contains("not valid Unicode").tolist() == [True]
    catalog.save(tmp_path / "catalog.parquet")
    pd.testing.assert_frame_equal(Catalog.load(tmp_path / "catalog.parquet").frame, catalog.frame)


def test_where_leaves_out_on_purpose_and_counts() -> None:
    frame = pd.DataFrame({"sku": ["1", "2", "", "3"], "sold": [1, 0, 0, 1]})
    catalog = Catalog.from_frame(frame, columns={"item_id": "sku"}, where={"sold": 1})
    assert (list(catalog.ids), catalog.n_filtered, len(catalog.rejected)) == (["1", "3"], 2, 0)


def test_rows_after_a_filter_and_malformed_lines_keep_their_number(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,sold\nx,0\nbroken\n,1\na,1\na,1\n")
    catalog = Catalog.read(path, where={"sold": 1})
    assert catalog.rejected["row"].tolist() == [1, 2, 4]


def test_nothing_usable_names_the_commonest_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shop has no usable row among 3; commonest reason: empty id \(2 rows\)"):
        Catalog.from_frame(pd.DataFrame({"item_id": ["", " ", "\0"]}), source="shop")
    path = tmp_path / "items.csv"
    path.write_text("item_id,title\n1\n2\n")
    with pytest.raises(DataError, match="line has 1 fields instead of 2"):
        Catalog.read(path)


def test_no_rows_at_all_make_an_empty_catalogue() -> None:
    assert len(Catalog.from_frame(pd.DataFrame({"item_id": []}))) == 0


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    with pytest.raises(ArtifactError, match="does not exist"):
        Catalog.load(path)
    Catalog.from_frame(pd.DataFrame({"item_id": ["a"]})).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="damaged, make it again"):
        Catalog.load(path)
    pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(ArtifactError, match="no column 'item_id'"):
        Catalog.load(path)
    with pytest.raises(DataError, match="needs the column item_id"):
        Catalog(pd.DataFrame({"x": [1]}), pd.DataFrame())
