"""Logs from tables and from obp's dict; what cannot be used is refused with a reason, or the log is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from evaluation.ope import BanditLog, LogColumns, OPEConfig, SlateLog, Uniform, evaluate_policy, read_log
from evaluation.ope.reading import MOST_LEVELS
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, DataError

FRAME = pd.DataFrame(
    {
        "user_id": ["007", "8", "007", "9", "8"],
        "presentation": ["retro", "original", "", "retro", "original"],
        "click": [1, 0, 1, "x", 0],
        "propensity": [0.5, 0.25, 0.5, 0.5, 1.5],
        "position": [1, 3, 1, 1, 2.5],
        "age": [20, 30, 20, 40, 30],
        "town": ["ulm", "bern", "ulm", "graz", "bern"],
    }
)
COLUMNS = LogColumns(action="presentation", position="position", context=("user_id",), unit="user_id")


def test_a_table_becomes_a_log() -> None:
    log = read_log(FRAME, COLUMNS, actions=["original", "festive"])
    assert log.actions.ids.tolist() == ["original", "festive", "retro"]
    assert log.action.tolist() == [2, 0]
    assert (log.reward.tolist(), log.propensity.tolist()) == ([1, 0], [0.5, 0.25])
    assert (log.position.tolist(), log.n_positions) == ([0, 1], 2)  # places 1 and 3 were used
    assert log.contexts["user_id"].tolist() == ["007", "8"]
    assert log.unit is not None
    assert log.unit.tolist() == [0, 1]


def test_bad_rows_are_refused_with_their_reason() -> None:
    log = read_log(FRAME, COLUMNS)
    assert log.rejected[["row", "reason"]].to_numpy().tolist() == [
        [2, "action is empty"],
        [3, "reward is not a finite number"],
        [4, "propensity is not in (0, 1]"],
    ]
    assert log.n_refused == 3
    found = evaluate_policy(log, Uniform(2), OPEConfig(("ipw",)))
    assert found.diagnostics.refused == 3 / 5
    assert "60.0% of the rows were refused" in found.because


def test_equal_contexts_are_one_row_with_standardised_features() -> None:
    good = FRAME.assign(click=0, propensity=0.5, presentation="retro")
    log = read_log(good, LogColumns(action="presentation", context=("user_id",), features=("age", "town")))
    assert log.context.tolist() == [0, 1, 0, 2, 1]
    age = np.array([20.0, 30, 40])
    assert log.features[:, 0] == pytest.approx((age - age.mean()) / age.std())
    assert log.features[:, 1:].tolist() == [[0, 0], [1, 0], [0, 1]]  # ulm, the first, is the base


def test_our_impression_log_and_its_parquet_are_read(tmp_path: object) -> None:
    """`Interactions` with propensities, saved as every study saves them; the weight is the reward."""
    shown = pd.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"], "presentation": ["retro", "original"]})
    shown = shown.assign(weight=[1, 0], propensity=[0.3, 0.7], position=[0, 1])
    path = tmp_path / "shown.parquet"  # type: ignore[operator]
    Interactions.from_frame(shown).save(path)
    log = read_log(path, LogColumns(reward="weight", position="position", context=("user_id", "presentation")))
    assert log.actions.decode(log.action).tolist() == ["a", "b"]
    assert log.reward.tolist() == [1, 0]
    assert log.contexts["presentation"].tolist() == ["retro", "original"]


def test_obps_dict_becomes_a_log() -> None:
    context = np.arange(6.0).reshape(3, 2)
    feedback = {"n_actions": 4, "action": np.array([0, 3, 1]), "reward": np.ones(3), "pscore": np.full(3, 0.25)}
    log = BanditLog.from_obp(feedback | {"context": context, "position": None})
    assert (len(log), log.n_actions, log.n_positions) == (3, 4, 1)
    assert log.features.tolist() == context.tolist()
    with pytest.raises(DataError, match="lacks pscore"):
        BanditLog.from_obp(feedback | {"pscore": None})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"propensity": [0.5, 0.0]}, r"propensities must be in \(0, 1\], got 0.0"),
        ({"propensity": [0.5, np.nan]}, "propensities must be in"),
        ({"action": [0, 2]}, r"action must be in \[0, 2\), got 2"),
        ({"reward": [1.0, np.inf]}, "must be finite"),
        ({"position": [0, -1]}, r"position must be in \[0, 1\), got -1"),
        ({"unit": [1]}, "one length"),
    ],
)
def test_impossible_values_are_refused(changed: dict, message: str) -> None:
    columns = {"action": [0, 1], "reward": [1.0, 0.0], "propensity": [0.5, 0.5], "position": [0, 0]} | changed
    with pytest.raises(DataError, match=message):
        BanditLog.of(**columns, actions=2)


def test_unusable_tables_are_refused() -> None:
    with pytest.raises(DataError, match="unknown column 'propensity'"):
        read_log(FRAME.drop(columns="propensity"), COLUMNS)
    with pytest.raises(DataError, match="none of 5 rows is usable: propensity is not in"):
        read_log(FRAME.assign(propensity=0, click=1, presentation="a"), COLUMNS)
    many = pd.DataFrame({"item_id": "a", "click": 0, "propensity": 1, "who": [f"u{i}" for i in range(MOST_LEVELS + 1)]})
    with pytest.raises(ConfigError, match="name it as context instead"):
        read_log(many, LogColumns(features=("who",)))


def test_pages_are_gathered_from_rounds() -> None:
    def log(page: list[int] | None) -> BanditLog:
        columns = {"position": [1, 0, 0], "unit": [5, 5, 8], "page": page}
        return BanditLog.of([2, 0, 1], [1, 0, 0], [0.5, 0.3, 0.2], actions=3, **columns)

    pages = SlateLog.from_rounds(log([4, 4, 9]))
    assert pages.action.tolist() == [[0, 2], [1, -1]]
    assert pages.reward.tolist() == [[0, 1], [0, 0]]
    assert pages.propensity.tolist() == [[0.3, 0.5], [0.2, 1]]
    assert pages.unit is not None
    assert pages.unit.tolist() == [0, 1]
    for page, message in (
        ([4, 9, 9], "two rounds stand in one place"),
        ([1, 2, 3], "without gaps"),
        (None, "one page"),
    ):
        with pytest.raises(DataError, match=message):
            SlateLog.from_rounds(log(page))
