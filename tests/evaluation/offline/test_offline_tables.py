"""Oracles: the values of the comparison itself, read back from CSV, Markdown and LaTeX."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.metrics import METRICS
from evaluation.offline import evaluate
from evaluation.offline.groups import Groups
from evaluation.offline.rankers import ItemScores
from evaluation.offline.tables import FILES, as_text, differences_csv, write_tables
from recsys.data import Catalog, Dataset, Interactions
from recsys.errors import ConfigError
from recsys.models.popularity import Popularity


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    items = [f"i_{i:02d}" for i in range(40)]
    liked = 1 / np.arange(1, 41)
    log = pd.DataFrame(
        {
            "user_id": rng.integers(0, 60, 500).astype(str),
            "item_id": rng.choice(items[:30], p=liked[:30] / liked[:30].sum(), size=500),
        }
    )
    data = Dataset.of(Interactions.from_frame(log), Catalog.from_frame(pd.DataFrame({"item_id": items})))
    later = pd.DataFrame(
        {"user_id": rng.choice(data.users.ids, size=200), "item_id": rng.choice(items, p=liked / liked.sum(), size=200)}
    )
    bias = ItemScores.bias_only(data)
    worst = ItemScores(bias.users, bias.items, -bias.score, bias.seen)
    models = {"popularity": Popularity().fit(data), "worst / 10%_less": worst}
    kinds = Groups.of_values("kind", "items", ["x", "y"] * 20)
    result = evaluate(
        models, Interactions.from_frame(later), warm=data.is_warm, ks=(5, 10), groups=[kinds], resamples=200
    )
    return result.to_json("popularity") | {"ablations": result.compare("worst / 10%_less")}


def test_csv_holds_every_value_unrounded(found: dict[str, Any]) -> None:
    frame = pd.read_csv(io.StringIO(as_text(found, "csv")))
    rows = [*found["rows"], *found["groups"]]
    assert len(frame) == len(rows)
    np.testing.assert_allclose(frame["value"], [r["value"] for r in rows], rtol=0)
    assert {"kind: x", "kind: y"} < set(frame["segment"])
    differences = pd.read_csv(io.StringIO(differences_csv(found)))
    assert differences["table"].value_counts().to_dict() == {
        name: len(found[name]) for name in ("comparisons", "ablations")
    }


def test_markdown_shows_the_longest_lists_and_marks_clear_differences(found: dict[str, Any]) -> None:
    text = as_text(found, "markdown")
    sections = dict(re.findall(r"### (\w+) items.*?\n\n(.*?)\n(?=\n|$)", text, flags=re.S))
    assert list(sections) == ["all", "warm", "cold"]
    for segment, table in sections.items():
        head, ruler, *lines = [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()]
        assert head == ["model", "features", *(f"{m}@10" for m in METRICS), "coverage@10"]
        assert len(ruler) == len(head)
        assert [line[:2] for line in lines] == [["popularity", "none"], ["worst", "10%_less"]]
        for line in lines:
            for metric, cell in zip(METRICS, line[2:], strict=False):
                row = _row(found["rows"], segment, metric, line[0])
                assert cell.rstrip("*") == f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
                clear = (
                    line[0] == "worst" and _row(found["comparisons"], segment, metric, "worst")["p_adjusted"] <= 0.05
                )
                assert cell.endswith("*") == clear
    assert "*" in sections["warm"]  # the case is there
    assert "* differs from popularity / none" in text


def test_latex_is_escaped_and_complete(found: dict[str, Any]) -> None:
    text = as_text(found, "latex")
    assert text.count(r"\begin{tabular}{llrrrrrrr}") == text.count(r"\end{tabular}") == 3
    assert r"worst & 10\%\_less &" in text
    assert r"hit\_rate@10" in text
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {8}
    assert "$^{*}$" in text
    assert "\0" not in text


def test_all_files_are_written(found: dict[str, Any], tmp_path: Path) -> None:
    write_tables(found, tmp_path / "comparison")
    written = {p.name: p.read_text() for p in (tmp_path / "comparison").iterdir()}
    assert written == {name: make(found) for name, make in FILES.items()}
    with pytest.raises(ConfigError, match="unknown format 'markdwon'; did you mean 'markdown'"):
        as_text(found, "markdwon")


def _row(rows: list[dict[str, Any]], segment: str, metric: str, model: str) -> dict[str, Any]:
    return next(r for r in rows if (r["segment"], r["metric"], r["model"], r["k"]) == (segment, metric, model, 10))
