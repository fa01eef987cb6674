"""A search is reproducible, goes on where it stopped, finds what is known to be best, and looks at nothing later."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ArtifactError, ConfigError, DataError, MissingExtraError
from recsys.models.als import ALS
from recsys.models.hybrid import HybridModel
from recsys.models.popularity import Popularity
from recsys.tuning import rehearsal
from recsys.tuning.rehearsal import Outcome, folds_of, rehearse
from recsys.tuning.search import STARTUP, Tuning, tune
from recsys.tuning.space import Real, with_options

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def data() -> Dataset:
    """60 users of two tastes, 100 days."""
    rng = np.random.default_rng(0)
    users, items = (IdMap.of([f"{kind} {i}" for i in range(n)]) for kind, n in (("user", 60), ("item", 34)))
    pairs = np.array([(u, i) for u in range(60) for i in range(34) if i % 2 == u % 2 and rng.random() < 0.6])
    look = rng.normal(size=(34, 4)) + np.where(np.arange(34)[:, None] % 2, 1, -1)
    features = (FeatureBlock("look", look.astype(np.float32)), FeatureBlock.one_hot("kind", list("xyz" * 12)[:34]))
    when = np.datetime64("2024-01-01", "ns") + rng.integers(0, 100, len(pairs)).astype("timedelta64[D]")
    ones = np.ones(len(pairs), np.float32)
    return Dataset(
        users, items, pairs[:, 0], pairs[:, 1], ones, when, FeatureTable(items, features), FeatureTable(users)
    )


def essence(found: Tuning) -> list[tuple]:
    """All of a trial but how long it took."""
    return [(t.number, t.state, t.value, t.options, t.note) for t in found.trials]


class TestFolds:
    def test_windows_follow_one_another_and_nothing_later_is_learned_from(self, data: Dataset) -> None:
        first, second = folds_of(data, share=0.2, n=2)
        n = len(data.timestamp)
        assert len(first.past.timestamp) == pytest.approx(0.8 * n, rel=0.05)  # whole days
        assert len(second.past.timestamp) == pytest.approx(0.9 * n, rel=0.05)
        early = set(zip(first.past.user_idx.tolist(), first.past.item_idx.tolist(), strict=True))
        middle = set(zip(second.past.user_idx.tolist(), second.past.item_idx.tolist(), strict=True)) - early
        judged = set(zip(first.users[first.owner].tolist(), first.item.tolist(), strict=True))
        assert judged == {(u, i) for u, i in middle if u in first.past.user_idx}

    def test_one_window_is_the_holdout(self, data: Dataset) -> None:
        (only,) = folds_of(data, share=0.3, n=1)
        cut = np.sort(data.timestamp)[int(0.7 * len(data.timestamp))]
        assert only.past.timestamp.max() < cut
        assert len(only.past.timestamp) == (data.timestamp < cut).sum()

    def test_more_windows_than_moments_are_refused(self, data: Dataset) -> None:
        """The latest 20 % are some 20 days."""
        assert len(folds_of(data, share=0.2, n=10)) == 10
        with pytest.raises(DataError, match="ask for fewer folds"):
            folds_of(data, share=0.2, n=40)

    @pytest.mark.parametrize(("share", "n"), [(0.0, 1), (1.0, 1), (0.2, 0)])
    def test_what_is_no_split_is_refused(self, data: Dataset, share: float, n: int) -> None:
        with pytest.raises(ConfigError, match="share in"):
            folds_of(data, share=share, n=n)

    def test_impossible_splits_are_refused(self, data: Dataset) -> None:
        with pytest.raises(DataError, match="no timestamp"):
            folds_of(replace(data, timestamp=np.full(len(data.timestamp), np.datetime64("NaT", "ns"))), share=0.2, n=1)
        with pytest.raises(DataError, match=r"window 1 of 2 .* leaves nothing"):
            folds_of(replace(data, timestamp=np.full_like(data.timestamp, data.timestamp[0])), share=0.2, n=2)


class TestRehearsal:
    def test_by_epoch_is_fitting_for_so_many_epochs(self, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rehearsal, "MOST_EPOCHS", 4)
        monkeypatch.setattr(rehearsal, "WARM_UP", 1)
        config, folds = HybridModel(factors=6, batch_size=16, patience=9), folds_of(data, share=0.2, n=2)
        curve = list[float]()
        outcome = rehearse(config, folds, lambda step, value: curve.append(value))
        fitted = [[replace(config, epochs=e).fit(f.past) for f in folds] for e in (1, 2, 3, 4)]
        expected = [np.mean([f.ndcg(m) for f, m in zip(folds, models, strict=True)]) for models in fitted]
        assert curve == pytest.approx(expected, abs=1e-12)
        assert outcome == Outcome(max(curve), {"epochs": int(np.argmax(curve)) + 1})

    def test_halves_is_the_mean_of_lists_of_either_kind(self, data: Dataset) -> None:
        """By hand, from lists; nothing is chosen from a half that has no items."""
        (fold,) = folds_of(data, share=0.3, n=1)
        cold = np.unique(fold.item)[:6]
        past = replace(fold.past, weight=np.where(np.isin(fold.past.item_idx, cold), np.float32(0), fold.past.weight))
        fold, fitted = replace(fold, past=past), HybridModel(factors=4, epochs=1).fit(past)
        values = []
        for mask in (past.is_warm, ~past.is_warm):
            users = np.unique(fold.users[fold.owner[mask[fold.item]]])
            lists, _ = fitted.top_items(users, k=20, allowed=mask)
            gains = []
            for user, row in zip(users, lists, strict=True):
                wanted = {i for i in fold.item[fold.users[fold.owner] == user] if mask[i]}
                gain = sum(1 / np.log2(r + 2) for r, i in enumerate(row) if i in wanted)
                gains.append(gain / sum(1 / np.log2(r + 2) for r in range(min(len(wanted), 20))))
            values.append(np.mean(gains))
        assert fold.ndcg(fitted, "halves") == pytest.approx(np.mean(values), abs=1e-12)
        everything = replace(fold, past=replace(past, weight=np.ones_like(past.weight)))
        assert (everything.past.is_warm[everything.item]).all()
        assert everything.ndcg(fitted, "halves") == pytest.approx(everything.ndcg(fitted), abs=1e-12)

    def test_with_validation_the_model_finds_its_epochs_itself(self, data: Dataset) -> None:
        config, folds = HybridModel(factors=4, epochs=2, validation=0.2), folds_of(data, share=0.2, n=1)
        assert rehearse(config, folds) == Outcome(folds[0].ndcg(config.fit(folds[0].past)))


@pytest.mark.parametrize("config", [ALS(factors=8, iterations=3), HybridModel(factors=8)], ids=["als", "hybrid"])
def test_the_best_trial_is_what_fitting_with_its_options_gives(config, data: Dataset) -> None:
    found = tune(config, data, trials=7, seed=1)
    best = found.best
    assert best is not None
    assert best.value == max(t.value or 0 for t in found.trials if t.state == "complete")
    assert best.value > found.now
    values = [f.ndcg(with_options(config, best.options).fit(f.past)) for f in folds_of(data, share=0.2, n=2)]
    assert np.mean(values) == pytest.approx(best.value, abs=1e-12)
    now = [f.ndcg(config.fit(f.past)) for f in folds_of(data, share=0.2, n=2)]
    assert np.mean(now) == pytest.approx(found.now, abs=1e-12)


class TestGoingOn:
    config = ALS(factors=6, iterations=2)

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, data: Dataset) -> Tuning:
        return tune(cls.config, data, trials=14, seed=3)

    def test_the_same_seed_gives_the_same_trials_and_another_others(self, whole: Tuning, data: Dataset) -> None:
        assert essence(tune(self.config, data, trials=14, seed=3)) == essence(whole)
        assert essence(tune(self.config, data, trials=14, seed=4)) != essence(whole)

    def test_a_second_call_continues(self, whole: Tuning, data: Dataset, tmp_path: Path) -> None:
        journal, said = tmp_path / "new" / "trials.journal", list[str]()
        tune(self.config, data, trials=4, seed=3, journal=journal)
        found = tune(self.config, data, trials=14, seed=3, journal=journal, say=said.append)
        assert essence(found) == essence(whole)
        assert found.importance == pytest.approx(whole.importance)
        assert len(said) == 10
        assert said[0].startswith("trial 5 of 14: ")
        again = tune(self.config, data, trials=14, seed=3, journal=journal, say=said.append)
        assert (essence(again), len(said)) == (essence(whole), 10)

    @pytest.mark.parametrize("cut", [0, 25])
    def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(
        self, whole: Tuning, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
    ) -> None:
        """Killed in its 6th trial, and (cut) while a line of the journal was being written."""
        journal, calls = tmp_path / "trials.journal", iter(range(99))

        def killed(*arguments, **options):
            if next(calls) == 5:
                raise KeyboardInterrupt
            return rehearse(*arguments, **options)

        with monkeypatch.context() as patch:
            patch.setattr("recsys.tuning.search.rehearse", killed)
            with pytest.raises(KeyboardInterrupt):
                tune(self.config, data, trials=14, seed=3, journal=journal)
        journal.write_bytes(journal.read_bytes()[: -cut or None])
        assert essence(tune(self.config, data, trials=14, seed=3, journal=journal)) == essence(whole)

    def test_other_data_or_options_begin_anew(self, data: Dataset, tmp_path: Path) -> None:
        journal, said = tmp_path / "trials.journal", list[str]()
        tune(self.config, data, trials=2, journal=journal)
        other = replace(data, weight=data.weight * 2)
        for config, given, mark in (
            (replace(self.config, iterations=3), data, ""),
            (self.config, other, ""),
            (self.config, data, "other pictures"),
        ):
            said.clear()
            tune(config, given, trials=2, journal=journal, mark=mark, say=said.append)
            assert len(said) == 2
        said.clear()
        tune(self.config, data, trials=2, journal=journal, say=said.append)
        assert said == []

    def test_a_damaged_journal_is_named(self, data: Dataset, tmp_path: Path) -> None:
        (tmp_path / "trials.journal").write_text("no\n")
        with pytest.raises(ArtifactError, match="delete it to begin anew"):
            tune(self.config, data, trials=1, journal=tmp_path / "trials.journal")


Told = Callable[[Popularity, Callable[[int, float], None]], float]


def invented(monkeypatch: pytest.MonkeyPatch, value: Told) -> None:
    """A rehearsal of popularity whose value is known."""
    monkeypatch.setitem(rehearsal.REHEARSALS, "popularity", lambda c, folds, report, judge: Outcome(value(c, report)))  # type: ignore[arg-type]


def test_the_known_best_is_found_and_known_to_matter(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value is 1 at a half-life of 10 days and falls with the square of its logarithm."""
    invented(monkeypatch, lambda c, report: 1 - np.log10(c.half_life_days / 10) ** 2)
    found = tune(Popularity(), data, trials=40, seed=0)
    assert found.best is not None
    assert found.best.options["half_life_days"] == pytest.approx(10, rel=0.25)
    half = [abs(np.log(t.options["half_life_days"] / 10)) for t in found.trials]
    assert np.mean(half[STARTUP:]) < 0.7 * np.mean(half[:STARTUP])  # it learns
    assert found.importance == {"half_life_days": pytest.approx(1)}


def test_a_trial_worse_than_half_of_the_others_is_given_up(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = list[int]()

    def value(config: Popularity, report: Callable[[int, float], None]) -> float:
        good = 1 / (config.half_life_days or 1)
        for step in range(3):
            steps.append(step)
            report(step, good)
        return good

    invented(monkeypatch, value)
    found = tune(Popularity(), data, trials=20, space={"half_life_days": Real(1, 1000, log=True)})
    states = [t.state for t in found.trials]
    assert states[: STARTUP // 2] == ["complete"] * (STARTUP // 2)
    assert states.count("pruned") > 3
    assert len(steps) == 3 * states.count("complete") + states.count("pruned")
    worst = min(t.value for t in found.trials if t.state == "complete" and t.number > STARTUP and t.value)
    assert all(t.value < worst for t in found.trials if t.state == "pruned" and t.value)


def test_what_the_data_refuse_is_a_failed_trial_with_its_reason(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def value(config: Popularity, report: Callable[[int, float], None]) -> float:
        if (config.half_life_days or 0) < 30:
            raise DataError("it diverged; lower it")
        return 0.9

    invented(monkeypatch, value)
    found = tune(Popularity(), data, trials=8)
    failed = [t for t in found.trials if t.state == "failed"]
    assert failed
    assert {(t.value, t.note) for t in failed} == {(None, "it diverged; lower it")}
    assert {t.options["half_life_days"] < 30 for t in failed} == {True}
    assert found.importance == {}  # all complete ones are alike


def test_nothing_better_than_now_is_said(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    invented(monkeypatch, lambda c, report: 0.0)
    found = tune(Popularity(), data, trials=2)
    assert found.best is None
    assert found.to_json()["best"] is None


def test_refusals(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="trials must be >= 1, got 0"):
        tune(ALS(), data, trials=0)
    with pytest.raises(ConfigError, match="nothing of als can be tuned"):
        tune(ALS(), data, space={})
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'stylerec\[tune\]'"):
        tune(ALS(), data)
