"""Exposure and cannibalisation against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.simulate import Arm
from study.exposure import _concentration, taken


def arms(control: list[list[float]], treatment: list[list[float]]) -> tuple[Arm, Arm]:
    items = np.tile(np.arange(len(control[0])), (len(control), 1))
    return Arm("original", items, np.array(control, np.float32)), Arm(
        "stylised", items, np.array(treatment, np.float32)
    )


def test_who_takes_from_whom_is_the_multinomial_logit() -> None:
    # Two items of utility 0 and the outside option: each 1/3. The first rises by ln 2: 2/4, 1/4, outside 1/4.
    found = taken(*arms([[0.0, 0.0]], [[np.log(2), 0.0]]))
    restyled, kept = found["rows"]
    assert (restyled["control"], restyled["treatment"]) == pytest.approx((1000 / 3, 500.0), rel=1e-6)
    assert (kept["control"], kept["treatment"]) == pytest.approx((1000 / 3, 250.0), rel=1e-6)
    assert kept["relative"] == pytest.approx(-0.25, rel=1e-6)
    assert restyled["share"] == kept["share"] == 0.5
    assert "50% of what restyled items gain" in found["reads"]  # (1/3 − 1/4) of (1/2 − 1/3)


def test_an_empty_place_takes_nothing() -> None:
    control, treatment = arms([[0.0, 0.0]], [[1.0, 0.0]])
    empty = np.array([[0, -1]])
    found = taken(Arm("a", empty, control.log_odds), Arm("b", empty, treatment.log_odds))
    assert found["rows"][0]["share"] == 1.0
    assert found["rows"][1] == {
        "places": "kept as they are",
        "share": 0.0,
        "control": 0.0,
        "treatment": 0.0,
        "relative": None,
    }


def test_looks_that_please_nobody_take_nothing() -> None:
    assert "gain nothing" in taken(*arms([[0.0, 0.0]], [[-1.0, 0.0]]))["reads"]
    assert taken(*arms([[0.0, 0.0]], [[0.0, 0.0]])) == {}


@pytest.mark.parametrize(
    ("counts", "gini", "top"),
    [
        ([3] * 20, 0.0, 0.1),  # all alike: a tenth of the items has a tenth
        ([0] * 19 + [5], 1.0, 1.0),  # one has all
        ([0, 0, 0], None, None),
        ([4], None, 1.0),  # one item: no unevenness to speak of
    ],
)
def test_concentration(counts: list[int], gini: float | None, top: float | None) -> None:
    found = _concentration(counts)
    assert found["gini"] == (None if gini is None else pytest.approx(gini, abs=1e-12))
    assert found["top_share"] == (None if top is None else pytest.approx(top, abs=1e-12))
