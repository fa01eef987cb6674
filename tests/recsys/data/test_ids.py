import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.data import IdMap
from recsys.errors import DataError, UnknownIdError

IDS = st.lists(st.text(st.characters(exclude_categories=()), max_size=5), unique=True, max_size=20)


@given(IDS, st.randoms())
def test_any_text_goes_to_its_position_and_back(ids: list[str], random) -> None:
    index = IdMap.of(ids)
    asked = random.choices(ids, k=10) if ids else []
    assert index.encode(asked).tolist() == [ids.index(i) for i in asked]
    assert index.decode(index.encode(asked)).tolist() == asked
    assert list(index) == ids
    assert all(i in index for i in ids)


@given(IDS, IDS)
def test_unknown_ids_are_minus_one_left_out_or_an_error(known: list[str], asked: list[str]) -> None:
    index = IdMap.of(known)
    expected = [known.index(i) if i in known else -1 for i in asked]
    assert index.positions(asked).tolist() == expected
    assert index.encode(asked, on_unknown="skip").tolist() == [p for p in expected if p >= 0]
    if -1 in expected:
        with pytest.raises(UnknownIdError, match=f"{expected.count(-1)} of {len(asked)} ids are unknown"):
            index.encode(asked)


@given(IDS, IDS)
def test_maps_are_equal_when_ids_and_order_are(first: list[str], second: list[str]) -> None:
    assert (IdMap.of(first) == IdMap.of(second)) == (first == second)


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(DataError, match="'a' more than once"):
        IdMap.of(["a", "b", "a"])


@pytest.mark.parametrize("ids", [[1, 2], ["a", None], ["a", 7], [b"a"], [float("nan")]])
def test_an_id_that_is_no_text_is_refused(ids) -> None:
    with pytest.raises(DataError, match=r"ids must be text, got .*; write map\(str, ids\)"):
        IdMap.of(ids)


def test_asking_by_number_says_that_ids_are_text() -> None:
    for asked in ([7], np.array([7])):
        with pytest.raises(UnknownIdError, match=r"1 ids are known, and all are text, not int.*; did you mean '7'\?"):
            IdMap.of(["7"]).encode(asked)
    with pytest.raises(UnknownIdError, match=r"first None; 1 ids are known, and all are text, not NoneType$"):
        IdMap.of(["7"]).encode([None])


def test_an_id_that_lost_its_zeros_is_recognised() -> None:
    for asked in ("472", "00472", 472):
        with pytest.raises(UnknownIdError, match=r"did you mean '000472'\?$"):
            IdMap.of(["4720", "000472"]).encode([asked])
    with pytest.raises(UnknownIdError, match=r"first '000'; 1 ids are known$"):
        IdMap.of(["0"]).encode(["000"])


def test_no_ids_are_a_map_too() -> None:
    assert len(IdMap.of([])) == 0
    assert IdMap.of([]).encode([]).dtype == np.int64
    assert IdMap.of([]).positions(["x"]).tolist() == [-1]
