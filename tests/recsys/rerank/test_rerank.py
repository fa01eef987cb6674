import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_lists import candidates, shop

from recsys.errors import ConfigError
from recsys.rerank.calibration import Calibrate
from recsys.rerank.chain import STEPS, in_words, read_steps, rerank, steps_from
from recsys.rerank.diversity import DPP, MMR
from recsys.rerank.rules import Cap, Exclude, Exposure, Fresh, Where

RULES = """
[[rerank]]
kind = "exclude"
where = {column = "price", at_most = 5}

[[rerank]]
kind = "boost"
where = {column = "category", values = ["bag"]}
by = 0.1

[[rerank]]
kind = "fresh"
column = "launched"
weight = 0.2

[[rerank]]
kind = "exposure"

[[rerank]]
kind = "mmr"
blocks = ["look"]

[[rerank]]
kind = "dpp"
blocks = ["look", "kind"]
trade = 0.9

[[rerank]]
kind = "calibrate"
by = "look"

[[rerank]]
kind = "cap"
by = "seller"
limit = 2

[[rerank]]
kind = "pin"
where = {column = "category", values = ["hat"]}
position = 2
"""


def rows(recs):
    return list(zip(recs.user_id, recs.item_id, recs.rank.tolist(), recs.score.tolist(), strict=True))


def test_no_steps_cut_the_lists():
    recs = candidates()
    done = rerank(recs, [], known=shop(), k=4)
    assert rows(done.recommendations) == [r for r in rows(recs) if r[2] <= 4]
    assert done.to_text() == "no re-ranking"
    assert len(done.to_frame()) == 0


@given(st.integers(0, 200), st.integers(1, 8))
@settings(max_examples=25)
def test_whatever_the_steps_lists_are_whole_and_scores_the_models(seed, k):
    recs, known = candidates(seed=seed), shop()
    steps = [Fresh("launched"), Exposure(), MMR(("look",), 0.3), Calibrate("category", 0.5), DPP(("look",), 0.5)]
    done = rerank(recs, steps, known=known, k=k).recommendations
    score = {(u, i): s for u, i, s in zip(recs.user_id, recs.item_id, recs.score, strict=True)}
    for user in dict.fromkeys(recs.user_id):
        mine = done.user_id == user
        assert done.rank[mine].tolist() == list(range(1, min(k, (recs.user_id == user).sum()) + 1))
        assert len(set(done.item_id[mine])) == mine.sum()
        assert [score[user, i] for i in done.item_id[mine]] == done.score[mine].tolist()


@given(st.integers(0, 200), st.integers(1, 3))
@settings(max_examples=25)
def test_caps_hold_whatever_follows(seed, limit):
    known = shop()
    steps = [Cap("seller", limit), MMR(("look",), 0.2), Cap("category", limit + 1), Fresh("launched")]
    done = rerank(candidates(seed=seed), steps, known=known, k=8).recommendations.to_frame()
    about = known.catalog.set_index("item_id").loc[done["item_id"]].reset_index()
    for by, most in (("seller", limit), ("category", limit + 1)):
        named = about[by] != ""
        assert done[named.to_numpy()].groupby(["user_id", about[by][named].to_numpy()]).size().max() <= most


def test_a_report_says_what_changed_and_what_it_cost():
    recs, known = candidates(2, 6, short=False), shop()
    gone = recs.item_id[0]  # the first user's best item
    known.catalog.loc[known.catalog["item_id"] == gone, "category"] = "gone"
    holders = [u for u, i, r, _ in rows(recs) if i == gone and r <= 3]
    report = rerank(recs, [Exclude(Where("category", ("gone",)))], known=known, k=3).reports[0]
    assert holders == ["u0"]
    assert (report.changed, report.items_in, report.items_out) == (0.5, 1, 1)
    # u0's second and third move up by one; u1's three stay: 2 moves among 5 items that stayed
    assert report.moved == pytest.approx(2 / 5)
    first = recs.score[:6]
    scaled = (first - first[-1]) / (first[0] - first[-1])
    other = recs.score[6:]
    kept = ((other - other[-1]) / (other[0] - other[-1]))[:3].sum()
    before, after = (scaled[:3].sum() + kept) / 2, (scaled[1:4].sum() + kept) / 2
    assert report.relevance == pytest.approx((before, after))
    assert report.cost == pytest.approx(1 - after / before)
    frame = report.to_frame()
    expected = [("u0", recs.item_id[1], 2, 1), ("u0", recs.item_id[2], 3, 2), ("u0", recs.item_id[3], None, 3)]
    expected.append(("u0", gone, 1, None))
    places = frame[["before", "after"]].astype(object).where(frame[["before", "after"]].notna(), None)
    got = list(zip(frame["user_id"], frame["item_id"], places["before"], places["after"], strict=True))
    assert got == expected
    assert report.to_text().startswith("exclude where=category:gone: 50% of 2 lists changed, 1 items in, 1 out")


def test_an_unchanging_step_costs_nothing():
    report = rerank(candidates(), [MMR(("look",), 1.0)], known=shop(), k=5).reports[0]
    assert (report.changed, report.items_in, report.items_out, report.moved, report.cost) == (0, 0, 0, 0, 0)
    assert len(report.to_frame()) == 0


def test_summary_has_a_row_a_step():
    done = rerank(candidates(), [Cap("seller"), MMR(("look",), 0.1)], known=shop(), k=5)
    frame = done.to_frame()
    assert frame["step"].tolist() == ["cap by=seller limit=1", "mmr blocks=look trade=0.1"]
    assert frame["cost"].tolist() == [r.cost for r in done.reports]
    assert len(done.to_text().splitlines()) == 2


def test_rules_from_toml_are_those_made_by_hand(tmp_path):
    (tmp_path / "rules.toml").write_text(RULES)
    steps = read_steps(tmp_path / "rules.toml")
    assert [s.kind for s in steps] == ["exclude", "boost", "fresh", "exposure", "mmr", "dpp", "calibrate", "cap", "pin"]
    assert {s.kind for s in steps} == set(STEPS)
    assert steps[0] == Exclude(Where("price", at_most=5.0))
    assert steps[5] == DPP(("look", "kind"), 0.9)
    assert in_words(steps[0]) == "exclude where=price<=5"
    done = rerank(candidates(), steps, known=shop(), k=5)
    assert len(done.reports) == 9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[rerank]]\nkind = "mmrr"', r"rerank\[0\]: unknown kind 'mmrr'; did you mean 'mmr'"),
        ('[[rerank]]\nby = "a"', "must be a table with a kind"),
        ('[[rerank]]\nkind = "cap"\nbye = "a"', r"unknown key in \[rerank\[0\]\] 'bye'; did you mean 'by'"),
        ('[[rerank]]\nkind = "cap"', r"\[rerank\[0\]\] misses by"),
        ("[rerank]\na = 1", r"must hold \[\[rerank\]\] tables only"),
        ("[[rules]]\na = 1", r"must hold \[\[rerank\]\] tables only"),
        ("[[rerank", "cannot be read as TOML"),
    ],
)
def test_refuses_wrong_rules(tmp_path, text, message):
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_steps(tmp_path / "rules.toml")


def test_steps_are_read_from_tables_of_any_toml():
    assert steps_from([{"kind": "calibrate", "by": "category", "trade": 1}]) == (Calibrate("category", 1.0),)


def test_refuses_k_below_one():
    with pytest.raises(ConfigError, match="k must be >= 1, got 0"):
        rerank(candidates(), [], known=shop(), k=0)


def test_one_step_may_be_given_an_empty_shop_of_lists():
    none = candidates(1, 1, short=False)
    empty = type(none)(*(getattr(none, c)[:0] for c in ("user_id", "item_id", "score", "rank", "presentation")))
    steps = [MMR(("look",)), DPP(("look",)), Calibrate("category"), Cap("seller"), Exposure()]
    done = rerank(empty, steps, known=shop(), k=3)
    assert len(done.recommendations) == 0
    assert np.isfinite(done.to_frame()["cost"]).all()
