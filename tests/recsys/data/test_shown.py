"""Recommendations and presentations: what is answered and how it is shown."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.data import ORIGINAL, Presentation, Presentations, Recommendations
from recsys.errors import ArtifactError, DataError


def test_recommendations_are_equally_long_columns() -> None:
    recs = Recommendations.of(iter("uuv"), np.array(list("aba"), dtype=object), [3, 2, 1], [1, 2, 1])
    assert len(recs) == 3
    assert recs.to_frame().to_dict("list") == {
        "user_id": ["u", "u", "v"],
        "item_id": ["a", "b", "a"],
        "score": [3.0, 2.0, 1.0],
        "rank": [1, 2, 1],
        "presentation": [ORIGINAL] * 3,
    }
    with pytest.raises(DataError, match=r"equally long, got lengths \[1, 2\]"):
        Recommendations.of(["u"], ["a"], [1.0, 2.0], [1])


def test_no_recommendations_have_the_same_columns() -> None:
    frame = Recommendations.of([], [], [], []).to_frame()
    assert list(frame.columns) == ["user_id", "item_id", "score", "rank", "presentation"]
    assert len(frame) == 0


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
SCORES = st.dictionaries(st.sampled_from(["ssim", "edge"]), st.floats(-1, 1), max_size=2)
ROWS = st.lists(st.builds(Presentation, TEXT, TEXT, TEXT, SCORES, st.booleans(), TEXT), max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(rows=ROWS)
def test_presentations_round_trip(tmp_path: Path, rows: list[Presentation]) -> None:
    made = Presentations.of(rows)
    made.save(tmp_path / "p.parquet")
    again = Presentations.load(tmp_path / "p.parquet").frame
    for column in ("item_id", "look", "image", "accepted", "reason"):
        assert again[column].tolist() == [getattr(r, column) for r in rows]
    for name in ("ssim", "edge"):
        if any(name in r.scores for r in rows):
            expected = [r.scores.get(name, np.nan) for r in rows]
            np.testing.assert_array_equal(again[f"score_{name}"], expected)
    assert made.looks == tuple(dict.fromkeys(r.look for r in rows))


def test_accepted_is_by_look() -> None:
    rows = [Presentation("a", "retro"), Presentation("b", "retro", accepted=False), Presentation("a", "minimal")]
    made = Presentations.of(rows)
    assert made.accepted("retro").to_dict() == {"a": True, "b": False}
    assert made.accepted("none").to_dict() == {}


def test_foreign_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(ArtifactError, match="make it again"):
        Presentations.load(path)
    pd.DataFrame({"x": [1]}).to_parquet(path)
    with pytest.raises(ArtifactError, match="miss the columns"):
        Presentations.load(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="make it again"):
        Presentations.load(path)
