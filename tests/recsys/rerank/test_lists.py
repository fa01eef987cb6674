import numpy as np
import pytest
from shop_lists import ITEMS, candidates

from recsys.data.recommendations import Recommendations
from recsys.errors import DataError, UnknownIdError
from recsys.rerank.lists import Lists


def test_there_and_back_is_the_same():
    recs = candidates()
    back = Lists.of(recs, ITEMS).recommendations(recs)
    assert back.to_frame().equals(recs.to_frame())


def test_rows_in_any_order_are_ranked():
    recs = candidates()
    shuffled = np.random.default_rng(0).permutation(len(recs))
    mixed = Recommendations(
        *(getattr(recs, c)[shuffled] for c in ("user_id", "item_id", "score", "rank", "presentation"))
    )
    lists = Lists.of(mixed, ITEMS)
    place = {u: i for i, u in enumerate(lists.user_id)}
    for user, item, rank in zip(recs.user_id, recs.item_id, recs.rank, strict=True):
        assert ITEMS.ids[lists.item[place[user], rank - 1]] == item


def test_relevance_is_scaled_within_a_user():
    recs = Recommendations.of("aab", ["i0", "i1", "i2"], [-3.0, -5.0, 9.0], [1, 2, 1])
    lists = Lists.of(recs, ITEMS)
    assert lists.relevance.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert lists.value.tolist() == [[1.0, 0.0], [1.0, -np.inf]]


def test_first_puts_the_chosen_before_the_others_as_they_were():
    lists = Lists.of(candidates(2, 5, short=False), ITEMS)
    moved = lists.first(np.array([[3, 1], [-1, -1]]))
    assert moved.item[0].tolist() == lists.item[0, [3, 1, 0, 2, 4]].tolist()
    assert moved.item[1].tolist() == lists.item[1].tolist()


def test_no_recommendations_make_no_lists():
    none = Recommendations.of([], [], [], [])
    lists = Lists.of(none, ITEMS)
    assert len(lists) == 0
    assert len(lists.recommendations(none)) == 0


def test_refuses_a_user_asked_twice_and_unknown_items():
    twice = Recommendations.of("aa", ["i0", "i1"], [1.0, 1.0], [1, 1])
    with pytest.raises(DataError, match="ranks of user 'a' are not 1, 2, 3"):
        Lists.of(twice, ITEMS)
    with pytest.raises(UnknownIdError, match="first 'x'"):
        Lists.of(Recommendations.of("a", ["x"], [1.0], [1]), ITEMS)
