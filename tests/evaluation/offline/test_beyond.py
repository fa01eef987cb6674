"""Oracles: `describe_lists` and the debiased functions on the same lists, loops over users, and simulation."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from evaluation.metrics import (
    BiasedMetricWarning,
    UserColumns,
    credits,
    describe_lists,
    group_shares,
    ips,
    list_ranks,
    power_law_propensity,
    presentation_mix,
    snips,
    strata_edges,
    stratified,
)
from evaluation.offline import ListAspects, ModelKey, OfflineResult, evaluate, one_pass
from evaluation.offline.aspects import one_hot
from evaluation.offline.groups import Groups
from evaluation.offline.ratios import Ratios
from evaluation.offline.tables import as_text, beyond_tables
from recsys.data import IdMap, Interactions
from recsys.errors import ConfigError, DataError
from recsys.progress import silenced
from recsys.topk import top_k

N_USERS, N_ITEMS, KS = 40, 30, (3, 10)
A, RETRO = ModelKey("a"), ModelKey("b", "retro")


class Scores:
    """A recommender with given scores; what users had is left out."""

    def __init__(self, scores: npt.ArrayLike, history: sp.csr_array) -> None:
        self.matrix = np.asarray(scores, np.float32)
        self.had = history.toarray() > 0
        self.users = IdMap.of(f"u{u}" for u in range(self.matrix.shape[0]))
        self.items = IdMap.of(f"i{i}" for i in range(self.matrix.shape[1]))

    def top_items(self, user_idx: Any, *, k: int, exclude_seen: bool = True, allowed: Any = None) -> Any:
        scores = np.where(self.had[user_idx] & exclude_seen, -np.inf, self.matrix[user_idx])
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        return top_k(scores.astype(np.float32), k)


class World:
    """40 users, 30 items of which the last 6 are cold, histories, choices, a style space and two groups."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        chance = np.r_[1 / np.arange(1, 25), np.zeros(6)]
        had = rng.random((N_USERS, N_ITEMS)) < 0.6 * chance
        had[np.arange(N_USERS), rng.integers(0, 24, N_USERS)] = True
        self.history = sp.csr_array(had.astype(np.float32))
        later = (rng.random((N_USERS, N_ITEMS)) < 0.12) & ~had
        self.user, self.item = np.nonzero(later)
        frame = pd.DataFrame({"user_id": [f"u{u}" for u in self.user], "item_id": [f"i{i}" for i in self.item]})
        self.test = Interactions.from_frame(frame)
        self.warm = np.arange(N_ITEMS) < 24
        self.style = rng.standard_normal((N_ITEMS, 5)).astype(np.float32)
        self.groups = (
            Groups("price", "items", rng.integers(-1, 3, N_ITEMS), ("low", "middle", "high")),
            Groups("seller", "items", rng.integers(0, 4, N_ITEMS), tuple("pqrs")),
        )
        self.looks = {"retro": np.where(rng.random(N_ITEMS) < 0.7, "retro", "original")}
        self.models = {
            A: Scores(rng.random((N_USERS, N_ITEMS)), self.history),
            RETRO: Scores(later + had.sum(0), self.history),
        }

    @property
    def aspects(self) -> ListAspects:
        return ListAspects(self.history, {"style": self.style}, self.groups, self.looks)

    def evaluate(self, **more: Any) -> OfflineResult:
        given: dict[str, Any] = {"aspects": self.aspects, "resamples": 100} | more
        return evaluate(self.models, self.test, warm=self.warm, ks=KS, **given)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def result(world: World) -> OfflineResult:
    return world.evaluate()


def rows_of(rows: list[dict[str, Any]], key: ModelKey, segment: str) -> dict[tuple[str, str, int], dict[str, Any]]:
    return {
        (r["metric"], r["of"], r["k"]): r
        for r in rows
        if (r["model"], r["features"], r["segment"]) == (key.model, key.features, segment)
    }


@pytest.mark.parametrize("key", [A, RETRO], ids=str)
def test_one_pass_says_what_describe_lists_says_of_the_same_lists(
    world: World, result: OfflineResult, key: ModelKey
) -> None:
    users = result.segments["all"].users
    lists, _ = world.models[key].top_items(users, k=10)
    row, known = np.searchsorted(users, world.user), np.isin(world.user, users)
    described = describe_lists(
        lists,
        world.history[users],
        spaces={"style": world.style},
        groups={group.name: one_hot(group) for group in world.groups},
        labels={group.name: group.labels for group in world.groups},
        looks=world.looks.get(key.features, np.full(N_ITEMS, "original")),
        ks=KS,
        relevant=(row[known], world.item[known]),
    ).set_index(["measure", "of", "k"])
    found = rows_of(result.beyond_rows(), key, "all")
    assert set(found) == {column for column in described.index if column[0] != "coverage"}
    for k in KS:  # coverage is a share of the comparison's own
        share = result.segments["all"].shares[key]["coverage", k]
        assert share == pytest.approx(described.loc["coverage", "", k]["value"])
    of_everybody = {"novelty", "arp", "popularity_lift"}  # popularity is that among all users, not the averaged ones
    for column, row_found in found.items():
        said = described.loc[column]
        assert (row_found["n_users"], row_found["n_without"]) == (said["n_users"], said["n_without"]), column
        assert row_found["denominator"] == said["denominator"]
        if column[0] not in of_everybody:
            assert row_found["value"] == pytest.approx(said["value"], rel=1e-6), column
    mean = np.mean([world.history.toarray()[:, row].sum(axis=0).mean() for row in lists])
    assert found["arp", "", 10]["value"] == pytest.approx(mean)


def test_shares_of_exposure_stand_beside_what_is_due(world: World, result: OfflineResult) -> None:
    for segment, allowed in (("all", world.warm | True), ("cold", ~world.warm)):
        users = result.segments[segment].users
        lists, _ = world.models[A].top_items(users, k=3, allowed=allowed)
        price = world.groups[0]
        shown = [(price.codes[lists[lists >= 0]] == code).sum() for code in range(3)]
        due = group_shares(allowed.astype(float), one_hot(price))
        found = rows_of(result.beyond_rows(), A, segment)
        for code, label in enumerate(price.labels):
            row = found["exposure_share", f"price: {label}", 3]
            assert row["value"] == pytest.approx(shown[code] / sum(shown))
            assert row["due"] == pytest.approx(due[code])
        gap = np.abs(np.array(shown) / sum(shown) - due).sum() / 2
        assert found["disparity", "price", 3]["value"] == pytest.approx(gap)


def test_the_mix_is_of_what_a_model_with_looks_shows(world: World, result: OfflineResult) -> None:
    lists, _ = world.models[RETRO].top_items(result.segments["all"].users, k=10)
    mix = presentation_mix(world.looks["retro"][lists[lists >= 0]])
    found = rows_of(result.beyond_rows(), RETRO, "all")
    assert found["presentation_mix", "retro", 10]["value"] == pytest.approx(mix["retro"])
    plain = rows_of(result.beyond_rows(), A, "all")
    assert plain["presentation_mix", "original", 10]["value"] == 1.0
    assert ("presentation_mix", "retro", 10) not in plain


def test_debiased_values_are_those_of_the_functions(world: World, result: OfflineResult) -> None:
    chance = power_law_propensity((world.history.toarray() > 0).sum(axis=0))
    users = result.segments["all"].users
    lists, _ = world.models[RETRO].top_items(users, k=10)
    known = ~np.isnan(chance[world.item])
    user, item = np.searchsorted(users, world.user[known]), world.item[known]
    credit = credits(list_ranks(lists, user, item, N_ITEMS), 3)
    p, n = chance[item], len(users)
    found = rows_of(result.further_rows(), RETRO, "all")
    values = snips(credit, p, user, n)
    row = found["snips", "recall", 3]
    assert row["value"] == pytest.approx(np.nanmean(values))
    assert (row["n_users"], row["n_without"]) == ((~np.isnan(values)).sum(), np.isnan(values).sum())
    warm_candidates = (~np.isnan(chance)).sum()
    whole = ips(credit, p, user, np.full(n, warm_candidates))[~np.isnan(values)]
    assert found["ips", "recall", 3]["value"] == pytest.approx(whole.mean())
    edges = strata_edges(chance[~np.isnan(chance)], 5)
    strata = stratified(credit, p, edges)
    names = [of for metric, of, k in found if metric == "stratified" and k == 3]
    assert [found["stratified", of, 3]["value"] for of in names[:-1]] == pytest.approx(strata.credit.tolist())
    weights = np.histogram(chance[~np.isnan(chance)], np.nextafter(edges, 2))[0]
    assert names[-1] == "recall, standardised"
    assert found["stratified", names[-1], 3]["value"] == pytest.approx(strata.standardised(weights))
    assert not rows_of(result.further_rows(), RETRO, "cold")  # nothing is known of what nobody had


def test_propensities_that_were_logged_are_taken(world: World) -> None:
    given = np.full(N_ITEMS, 0.5)
    aspects = ListAspects(world.history, propensity=given)
    found = world.evaluate(aspects=aspects, segments=("all",))
    rows = rows_of(found.further_rows(), RETRO, "all")
    # All alike: weighing changes nothing, so SNIPS is plain recall.
    assert rows["snips", "recall", 10]["value"] == pytest.approx(found.mean(RETRO, "recall", 10), rel=1e-6)
    assert rows["ips", "recall", 10]["n_without"] == 0


def test_auc_is_scikit_learns_over_each_users_candidates(world: World) -> None:
    found = world.evaluate(metrics=("recall", "auc"), segments=("all", "cold"))
    for segment, allowed in (("all", world.warm | True), ("cold", ~world.warm)):
        expected = []
        for u in range(N_USERS):
            candidate = allowed & ~world.models[A].had[u]
            chosen = np.isin(np.arange(N_ITEMS), world.item[world.user == u])
            if (chosen & candidate).any() and not chosen[candidate].all():
                expected.append(roc_auc_score(chosen[candidate], world.models[A].matrix[u, candidate]))
        row = rows_of(found.further_rows(), A, segment)["auc", "", int(allowed.sum())]
        assert row["value"] == pytest.approx(np.mean(expected))
        assert row["n_users"] == len(expected)
        assert row["low"] < row["value"] < row["high"]


def test_sampled_values_tend_to_the_full_ones_and_are_marked(world: World) -> None:
    with pytest.warns(BiasedMetricWarning, match="decide nothing by them"):
        found = world.evaluate(sampled=2, segments=("all",), resamples=20)
    rows = rows_of(found.further_rows(), A, "all")
    marked = [column for column in rows if column[0] == "sampled (BIASED)"]
    assert {of for _, of, _ in marked} == {"recall, 2 drawn", "dcg, 2 drawn"}
    assert all("BIASED" in column[0] for column in rows if "drawn" in column[1])
    assert any(note.startswith("BIASED") for note in found.notes())
    # The expectation of recall@3 among two drawn is 1: nobody can be below rank 3.
    assert rows["sampled (BIASED)", "recall, 2 drawn", 3]["value"] == 1.0
    sure = evaluate({A: world.models[RETRO]}, world.test, ks=(1,), segments=("all",), resamples=20,
                    aspects=world.aspects)  # fmt: skip
    assert not any("BIASED" in r["metric"] for r in sure.further_rows())


def test_a_sample_of_everything_is_the_rank_itself() -> None:
    # One relevant item a user, 9 irrelevant candidates, all of them drawn: recall@k is recall@k.
    rng = np.random.default_rng(5)
    none = sp.csr_array((60, 10), dtype=np.float32)
    wanted = rng.integers(1, 10, 60)
    test = Interactions.from_frame(
        pd.DataFrame({"user_id": [f"u{u}" for u in range(60)], "item_id": [f"i{i}" for i in wanted]})
    )
    model = Scores(rng.random((60, 10)), none)
    aspects = ListAspects(none, propensity=np.full(10, 0.5))
    with pytest.warns(BiasedMetricWarning):
        found = evaluate({A: model}, test, ks=(3,), segments=("all",), resamples=20, aspects=aspects, sampled=9)
    row = rows_of(found.further_rows(), A, "all")["sampled (BIASED)", "recall, 9 drawn", 3]
    assert row["value"] == pytest.approx(found.mean(A, "recall", 3))


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_blocks_of_users_change_nothing(
    world: World, result: OfflineResult, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "BLOCK_USERS", block)
    ours, theirs = (pd.DataFrame(found.beyond_rows()) for found in (world.evaluate(), result))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9, atol=1e-12)


def test_differences_are_those_of_the_values_over_shared_resamples(world: World, result: OfflineResult) -> None:
    rows = result.compare_beyond(A)
    mine, base = (rows_of(result.beyond_rows(), key, "all") for key in (RETRO, A))
    more, less = (rows_of(result.further_rows(), key, "all") for key in (RETRO, A))
    for row in rows:
        if row["segment"] == "all" and row["metric"] not in ("presentation_mix", "coverage"):
            column = (row["metric"], row["of"], row["k"])
            expected = (mine | more)[column]["value"] - (base | less)[column]["value"]
            assert row["difference"] == pytest.approx(expected)
    twin = evaluate({"a": world.models[A], "twin": world.models[A]}, world.test, ks=(3,), segments=("all",),
                    resamples=50, aspects=world.aspects).compare_beyond("a")  # fmt: skip
    assert {(r["difference"], r["low"], r["high"]) for r in twin} == {(0.0, None, None)}  # the very same resamples
    assert rows[0]["baseline"] == "a / none"


def test_intervals_of_ratios_cover_at_their_nominal_rate() -> None:
    # A lift: mean of a skewed value over mean of a skewed base that goes with it; the truth is exp(0.18) - 1.
    rng, hits, runs = np.random.default_rng(0), {"lift": 0, "mean": 0}, 400
    for run in range(runs):
        base = rng.exponential(size=150)
        value = base * rng.lognormal(0.0, 0.6, size=150)
        some = np.where(rng.random(150) < 0.8, value, np.nan)  # some users have no value
        users = UserColumns()
        users.add(("popularity_lift", "", 5), value, base)
        users.add(("arp", "", 5), some)
        found = Ratios.of(users, resamples=400, seed=run)
        truth = np.exp(0.18)
        for j, (name, true) in enumerate((("lift", truth - 1), ("mean", truth))):
            hits[name] += int(found.low[j] <= true <= found.high[j])
    slack = 3.5 * np.sqrt(0.05 * 0.95 / runs)
    assert 0.95 - slack - 0.02 <= hits["lift"] / runs <= 1  # 150 skewed users: BCa is short by up to two percent
    assert 0.95 - slack - 0.02 <= hits["mean"] / runs <= 1


def test_users_who_are_all_alike_have_no_interval() -> None:
    users = UserColumns()
    users.add(("arp", "", 5), np.full(20, 7.0))
    users.add(("novelty", "", 5), np.r_[1.0, np.full(19, np.nan)])
    users.add(("serendipity", "style", 5), np.full(20, np.nan))
    found = Ratios.of(users, resamples=50, seed=0)
    np.testing.assert_allclose(found.value, [7.0, 1.0, np.nan])
    assert np.isnan(found.low).all()
    assert found.n_users.tolist() == [20, 1, 0]


def test_what_does_not_fit_is_refused(world: World) -> None:
    with pytest.raises(ConfigError, match="pass aspects="):
        evaluate(world.models, world.test, warm=world.warm, metrics=("recall", "auc"))
    with pytest.raises(ConfigError, match=r"got -1\) take the rank"):
        world.evaluate(sampled=-1)
    with pytest.raises(DataError, match=r"history of aspects must have shape \(40, 30\), got \(39, 30\)"):
        world.evaluate(aspects=ListAspects(world.history[1:]))
    with pytest.raises(DataError, match="'history' is none"):
        ListAspects(world.history, groups=(Groups("history", "users", np.zeros(N_USERS, int), ("x",)),))
    with pytest.raises(DataError, match=r"propensity must have shape \(30,\)"):
        ListAspects(world.history, propensity=np.ones(3))
    with pytest.raises(DataError, match="propensities lie outside"), silenced():
        world.evaluate(aspects=ListAspects(world.history, propensity=np.full(N_ITEMS, 1.5)))


def test_tables_show_every_measure_with_its_interval_and_what_is_due(result: OfflineResult) -> None:
    found = result.to_json("a")
    tables = {title: (head, lines) for title, head, lines in beyond_tables(found, "all")}
    assert list(tables) == ["reach and popularity", "diversity", "calibration and disparity", "exposure",
                            "presentations", "debiased"]  # fmt: skip
    head, lines = tables["reach and popularity"]
    row = rows_of(found["beyond"], A, "all")["novelty", "", 10]
    cell = lines[0][head.index("novelty@10")]
    assert cell == f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
    assert "[" not in lines[0][head.index("gini@10")]
    head, lines = tables["exposure"]
    assert head == ("share of exposure@10", "due", "a / none", "b / retro")
    assert [line[0] for line in lines] == [f"{g}: {x}" for g, names in (("price", ("low", "middle", "high")),
                                                                       ("seller", "pqrs")) for x in names]  # fmt: skip
    for group in ("price", "seller"):
        mine = [line for line in lines if line[0].startswith(group)]
        for column in (1, 2, 3):
            assert sum(float(line[column]) for line in mine) == pytest.approx(1, abs=5e-4)
    markdown, latex = as_text(found, "markdown"), as_text(found, "latex")
    assert markdown.count("####") == latex.count(r"\begin{tabular}") - 3 == sum(
        len(beyond_tables(found, segment)) for segment in ("all", "warm", "cold")
    )  # fmt: skip
    csv = pd.read_csv(io.StringIO(as_text(found, "csv")))
    assert len(csv) == sum(len(found[name]) for name in ("rows", "groups", "beyond", "further"))
    assert csv["of"].dropna().str.startswith("price: ").any()


def test_sampled_values_have_a_loud_table_of_their_own(world: World) -> None:
    with pytest.warns(BiasedMetricWarning):
        found = world.evaluate(sampled=2, metrics=("recall", "auc"), resamples=20).to_json("a")
    titles = [title for title, *_ in beyond_tables(found, "all")]
    assert titles[-2:] == ["all ranks", "BIASED, among sampled items"]
    assert "#### all items: BIASED, among sampled items" in as_text(found, "markdown")
    assert "% all items: BIASED, among sampled items" in as_text(found, "latex")
