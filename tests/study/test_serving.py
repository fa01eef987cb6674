"""Lists of a finished study keep the shop's rules, and models learn from events by their weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.errors import ConfigError, DataError
from recsys.models.popularity import Popularity
from recsys.rerank.chain import steps_from
from study.chain import FITTING, OFFLINE_CHAIN
from study.config import parse_study
from study.learning import dataset_of, log_of, split_of
from study.run import Study, run_stages
from study.serving import recommend_from

KINDS = ("bag", "shoe", "lamp")
EVENTS = ("view", "view", "cart", "purchase")


def made(folder: Path, text: str = "", interactions: str = "") -> Study:
    """40 items of three kinds, 30 customers, 600 events; popularity alone unless told otherwise."""
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(40)], "category": [KINDS[i % 3] for i in range(40)]})
    items.assign(price=np.arange(40) * 10.0).to_csv(folder / "items.csv", index=False)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.permutation(600), "h")
    log = {"user_id": [f"u{i % 30}" for i in range(600)], "item_id": [f"i{i}" for i in rng.integers(0, 40, 600)]}
    log |= {"timestamp": days, "event": [EVENTS[i] for i in rng.integers(0, 4, 600)]}
    pd.DataFrame(log).to_csv(folder / "log.csv", index=False)
    off = "\n".join(f"[models.{name}]\nenabled = false" for name in ("als", "content", "hybrid"))
    (folder / "study.toml").write_text(
        f'[catalog]\npath = "items.csv"\n[interactions]\npath = "log.csv"\n{interactions}\n'
        f'[features]\nblocks = ["category"]\n{off}\n{text}\n'
    )
    return Study.create(folder / "study.toml", folder / "run")


def lists(study: Study, **options) -> tuple[pd.DataFrame, list[str]]:
    said: list[str] = []
    run_stages(study, FITTING, say=lambda line: None)
    options = {"k": 5, "look": "original"} | options
    frame = recommend_from(study.folder.path, "popularity", None, say=said.append, **options)
    kind = {f"i{i}": KINDS[i % 3] for i in range(40)}
    return frame.assign(kind=frame["item_id"].map(kind)), said


class TestRules:
    cap = '[[rerank]]\nkind = "cap"\nby = "category"\nlimit = 2\n'

    def test_the_studys_rules_hold_in_every_list(self, tmp_path: Path) -> None:
        frame, said = lists(made(tmp_path, self.cap))
        assert frame.groupby("user_id").size().eq(5).all()
        assert frame.groupby(["user_id", "kind"]).size().max() == 2
        assert any("cap by=category" in line and "cost" in line for line in said)

    def test_rules_given_take_the_place_of_the_studys(self, tmp_path: Path) -> None:
        frame, said = lists(made(tmp_path, self.cap), rules=())
        assert frame.groupby(["user_id", "kind"]).size().max() > 2
        assert said == []

    def test_what_is_excluded_leaves_no_list_short(self, tmp_path: Path) -> None:
        """Two thirds of the catalogue are out, and with them far more than four in five proposals may be."""
        rules = steps_from([{"kind": "exclude", "where": {"column": "price", "at_most": 260}}])
        frame, said = lists(made(tmp_path), rules=rules, exclude_seen=False)
        assert frame.groupby("user_id").size().eq(5).all()
        assert {int(i[1:]) for i in frame["item_id"]} <= set(range(27, 40))
        assert said == ["exclude where=price<=260: 27 items are not proposed"]

    def test_a_rule_that_cannot_be_read_is_refused_with_the_study(self) -> None:
        text = '[catalog]\npath = "a"\n[interactions]\npath = "b"\n[[rerank]]\nkind = "caps"\n'
        with pytest.raises(ConfigError, match="did you mean 'cap'"):
            parse_study(text)

    def test_a_column_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="seller"):
            lists(made(tmp_path), rules=steps_from([{"kind": "cap", "by": "seller"}]))


class TestWeights:
    weighed = "event_weights = { view = 1, cart = 3, purchase = 5 }"

    def test_models_learn_by_events(self, tmp_path: Path) -> None:
        study = made(tmp_path, interactions=self.weighed)
        run_stages(study, FITTING, say=lambda line: None)
        log = pd.read_csv(tmp_path / "log.csv").drop_duplicates()
        expected = log["event"].map({"view": 1, "cart": 3, "purchase": 5}).groupby(log["item_id"]).sum()
        score = Popularity().fit(dataset_of(study)).item_score
        assert dict(zip(dataset_of(study).items.ids, score, strict=True)) == expected.to_dict()

    def test_an_event_without_weight_judges_nothing(self, tmp_path: Path) -> None:
        study = made(tmp_path, interactions="event_weights = { view = 0, cart = 1, purchase = 1 }")
        run_stages(study, OFFLINE_CHAIN, say=lambda line: None)
        test = split_of(study).test.frame
        assert set(test["event"]) == {"cart", "purchase"}
        assert (log_of(study).frame.groupby("event")["weight"].max() > 0).to_dict() == {
            "cart": True,
            "purchase": True,
            "view": False,
        }

    def test_old_interactions_count_less(self, tmp_path: Path) -> None:
        study = made(tmp_path, interactions="half_life_days = 10")
        run_stages(study, FITTING, say=lambda line: None)
        data = dataset_of(study)
        days = (data.timestamp.max() - data.timestamp) / np.timedelta64(1, "D")
        np.testing.assert_allclose(data.weight, 0.5 ** (days / 10), rtol=1e-6)

    def test_other_weights_fit_again_and_read_nothing_again(self, tmp_path: Path) -> None:
        run_stages(made(tmp_path), OFFLINE_CHAIN, say=lambda line: None)
        said: list[str] = []
        run_stages(made(tmp_path, interactions=self.weighed), OFFLINE_CHAIN, say=said.append)
        assert {"ingest: reused", "looks: reused", "features: reused"} <= set(said)
        assert {"fit offline …", "offline …", "split …"} <= set(said)

    def test_an_event_without_a_name_is_refused(self, tmp_path: Path) -> None:
        study = made(tmp_path, interactions="event_weights = { view = 1, cart = 3 }")
        with pytest.raises(DataError, match="the log also has 'purchase'"):
            run_stages(study, FITTING, say=lambda line: None)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("event_weights = { view = -1 }", "must be >= 0"),
            ("event_weights = { view = 0 }", "nothing is left to learn from"),
            ("half_life_days = 0", "half_life_days must be > 0"),
        ],
    )
    def test_what_cannot_be_a_weight_is_refused(self, line: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            parse_study(f'[catalog]\npath = "a"\n[interactions]\npath = "b"\n{line}\n')
