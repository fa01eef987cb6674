from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_lists import ITEMS, candidates, shop

from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.rerank.chain import check_steps, steps_from
from recsys.rerank.known import Known
from recsys.rerank.lists import Lists
from recsys.rerank.rules import Boost, Cap, Exclude, Exposure, Fresh, Pin, Where


def capped_by_definition(codes, limit):
    kept, counts = [], {}
    for place, code in enumerate(codes):
        if code >= 0:
            counts[code] = counts.get(code, 0) + 1
        if code < 0 or counts[code] <= limit:
            kept.append(place)
    return kept


@given(st.integers(0, 300), st.integers(1, 4), st.sampled_from(["category", "seller", "kind", "look"]))
@settings(max_examples=30)
def test_cap_keeps_the_first_of_every_group(seed, limit, by):
    lists, known = Lists.of(candidates(seed=seed), ITEMS), shop()
    capped = Cap(by, limit)(lists, known, 5)
    group, _ = known.groups(by)
    for before, after in zip(lists.item, capped.item, strict=True):
        before = before[before >= 0]
        assert after[after >= 0].tolist() == before[capped_by_definition(group[before], limit)].tolist()


def test_cap_by_price_does_not_cap_missing_prices():
    known = shop()
    lists = Lists.of(candidates(2, 12, short=False), ITEMS)
    known.catalog.loc[:, "price"] = np.nan
    np.testing.assert_array_equal(Cap("price")(lists, known, 3).item, lists.item)


def test_exclude_leaves_the_others_in_order():
    lists, known = Lists.of(candidates(), ITEMS), shop()
    left = Exclude(Where("category", ("bag", "hat")))(lists, known, 5)
    bad = known.catalog["category"].isin(["bag", "hat"]).to_numpy()
    for before, after in zip(lists.item, left.item, strict=True):
        assert after[after >= 0].tolist() == [i for i in before if i >= 0 and not bad[i]]


def test_boost_adds_to_values_and_sorts():
    lists, known = Lists.of(candidates(), ITEMS), shop()
    cheap = (known.catalog["price"] <= 30).to_numpy()
    boosted = Boost(Where("price", at_most=30), by=0.5)(lists, known, 5)
    for before, value, after in zip(lists.item, lists.value, boosted.item, strict=True):
        real = before >= 0
        expected = before[real][np.argsort(-(value[real] + 0.5 * cheap[before[real]]), kind="stable")]
        assert after[after >= 0].tolist() == expected.tolist()
    unchanged = Boost(Where("price", at_most=30), by=0.0)(lists, known, 5)
    np.testing.assert_array_equal(unchanged.item, lists.item)


def values_by_item(lists):
    user, rank = np.nonzero(lists.real)
    return dict(zip(zip(user, lists.item[user, rank], strict=True), lists.value[user, rank], strict=True))


def test_fresh_halves_every_half_life():
    lists, known = Lists.of(candidates(), ITEMS), shop()
    before = values_by_item(lists)
    after = values_by_item(Fresh("launched", weight=0.4, half_life_days=10, now="2020-03-01")(lists, known, 5))
    age = (pd.Timestamp("2020-03-01") - known.catalog["launched"]).dt.days.clip(lower=0)  # not yet out counts as new
    for (user, item), value in before.items():
        assert after[user, item] == pytest.approx(value + 0.4 * 0.5 ** (age[item] / 10))


def test_fresh_reads_text_dates_and_takes_the_last_as_today():
    lists = Lists.of(candidates(), ITEMS)
    dates = ["2020-05-01"] * 39 + [""]
    known = Known(ITEMS, catalog=pd.DataFrame({"day": np.array(dates, object)}))
    after = values_by_item(Fresh("day", weight=0.4)(lists, known, 5))
    for key, value in values_by_item(lists).items():
        assert after[key] == pytest.approx(value + (0 if key[1] == 39 else 0.4))


def test_exposure_lifts_what_is_rarely_shown():
    lists, known = Lists.of(candidates(), ITEMS), shop()
    after = values_by_item(Exposure("shown", weight=0.3)(lists, known, 5))
    shown = known.catalog["shown"]
    for (user, item), value in values_by_item(lists).items():
        expected = value + 0.3 * (1 - np.log1p(shown[item]) / np.log1p(shown.max()))
        assert after[user, item] == pytest.approx(expected)


def test_exposure_counts_the_lists_themselves():
    lists, known = Lists.of(candidates(), ITEMS), shop()
    after = values_by_item(Exposure(weight=0.3)(lists, known, 4))
    shown = np.bincount(lists.item[:, :4][lists.item[:, :4] >= 0], minlength=40)
    for (user, item), value in values_by_item(lists).items():
        assert after[user, item] == pytest.approx(value + 0.3 * (1 - np.log1p(shown[item]) / np.log1p(shown.max())))


@pytest.mark.parametrize(("position", "count"), [(1, 1), (3, 2), (99, 1)])
def test_pin_puts_the_best_matches_at_their_place(position, count):
    lists, known = Lists.of(candidates(), ITEMS), shop()
    match = (known.catalog["category"] == "shoe").to_numpy()
    pinned = Pin(Where("category", ("shoe",)), position, count)(lists, known, 5)
    for before, after in zip(lists.item, pinned.item, strict=True):
        real = before[before >= 0].tolist()
        moved = [i for i in real if match[i]][:count]
        others = [i for i in real if i not in moved]
        place = min(position, 5 - len(moved) + 1)  # no further down than the list that is shown
        expected = others[: place - 1] + moved + others[place - 1 :]
        assert after[after >= 0].tolist() == expected


def test_a_range_matches_no_missing_number():
    known = Known(ITEMS, catalog=pd.DataFrame({"price": [np.nan, 1.0, 5.0] + [9.0] * 37}))
    assert Where("price", at_least=2).items(known)[:4].tolist() == [False, False, True, True]
    assert Where("price", at_least=1, at_most=5).items(known)[:4].tolist() == [False, True, True, False]
    assert Where("price", at_least=1, at_most=5).in_words() == "1<=price<=5"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Where("price"), "give either values or at_least"),
        (lambda: Where("price", ("a",), at_most=1), "give either values or at_least"),
        (lambda: Cap("category", 0), "limit must be >= 1, got 0"),
        (lambda: Boost(Where("a", ("b",)), by=float("nan")), "by must be a number"),
        (lambda: Fresh("launched", half_life_days=0), "half_life_days must be > 0"),
        (lambda: Exposure(weight=float("inf")), "weight must be a number"),
        (lambda: Pin(Where("a", ("b",)), position=0), "position and count must be >= 1"),
    ],
)
def test_refuses_settings_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        (Exclude(Where("categry", ("x",))), ConfigError, "did you mean 'category'"),
        (Exclude(Where("category", at_most=3)), ConfigError, "need numbers"),
        (Fresh("category"), DataError, "holds no dates"),
        (Fresh("seller"), DataError, "holds numbers, no dates"),
        (Exposure("category"), ConfigError, "must hold finite counts"),
    ],
)
def test_refuses_columns_it_cannot_use(step, kind, message):
    with pytest.raises(kind, match=message):
        step(Lists.of(candidates(), ITEMS), shop(), 3)


@pytest.mark.parametrize("text", ["soon", "", "NaT", "now", "today", 5])
def test_now_is_a_date_and_no_clock(text):
    with pytest.raises(ConfigError, match="now must be an ISO date"):
        Fresh("launched", now=text)


@pytest.mark.parametrize(("low", "high"), [(5.0, 2.0), (float("nan"), None)])
def test_a_range_that_holds_nothing_is_refused(low, high):
    with pytest.raises(ConfigError, match="at_least must not exceed at_most"):
        Where("price", at_least=low, at_most=high)


def test_values_of_a_column_of_numbers_match_as_numbers():
    """A missing cell makes pandas' whole numbers decimal ones: 1 is 1.0."""
    known = Known(IdMap.of(["a", "b", "c"]), catalog=pd.DataFrame({"code": [1.0, np.nan, 2.0]}))
    assert Where("code", ("1",)).items(known).tolist() == [True, False, False]
    with pytest.raises(ConfigError, match="holds numbers"):
        Where("code", ("one",)).items(known)


@pytest.mark.parametrize("cells", [[1.0, np.inf, 0.0], [True, False, True]])
def test_exposure_needs_counts(cells):
    known = replace(shop(), catalog=shop().catalog.assign(shown=(cells * len(shop().items))[: len(shop().items)]))
    with pytest.raises(ConfigError, match="finite counts"):
        Exposure("shown")(Lists.of(candidates(), ITEMS), known, 3)


@pytest.mark.parametrize("kind", [["cap"], {"a": 1}, 3])
def test_a_kind_that_is_no_text_is_refused(kind):
    with pytest.raises(ConfigError, match="unknown kind"):
        steps_from([{"kind": kind}])


def test_a_value_that_no_item_has_is_named_with_what_there_is():
    assert Where("category", ("shoe",)).absent(shop()) == ""
    said = Where("category", ("shoe", "shoos")).absent(shop())
    assert said.startswith("no item has category 'shoos'; there is ")
    assert "shoe" in said


def test_rules_that_would_undo_others_are_refused():
    cap, pin = {"kind": "cap", "by": "category"}, {"kind": "pin", "where": {"column": "category", "values": ["bag"]}}
    assert [s.kind for s in steps_from([cap, pin])] == ["cap", "pin"]
    with pytest.raises(ConfigError, match="cap would undo pin; put kinds in the order exclude, boost"):
        steps_from([pin, cap])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "cap", "by": "brnd"}, "did you mean 'brand'"),
        ({"kind": "mmr", "blocks": ["gramm"]}, "feature block 'gramm'; did you mean 'gram'"),
        ({"kind": "exclude", "where": {"column": "pric", "at_most": 2}}, "catalogue column 'pric'"),
        ({"kind": "fresh", "column": "launch"}, "catalogue column 'launch'"),
    ],
)
def test_rules_over_what_is_not_there_are_refused_before_anything_is_fitted(table, message):
    with pytest.raises(ConfigError, match=message):
        check_steps(steps_from([table]), columns=["brand", "price"], blocks=["gram"])
