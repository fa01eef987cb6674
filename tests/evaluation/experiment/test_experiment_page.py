"""The report of a real test: one file without network, the numbers of the analysis, hostile labels made harmless."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import main
from evaluation.designs.arms import rehearse_arms
from evaluation.designs.interleaving import rehearse_interleaving
from evaluation.experiment.analyze import analyze
from evaluation.experiment.decision import analyze_log
from evaluation.experiment.metrics import Metric
from evaluation.experiment.page import to_document
from evaluation.experiment.plan import LogConfig, Plan
from evaluation.experiment.sequence import FEWEST, LOOKS, sequence
from evaluation.report import to_html
from evaluation.response import PositionBased
from evaluation.simulate import Arm

ITEMS = np.tile(np.arange(4), (200, 1))
ODDS = np.random.default_rng(0).normal(-1.2, 0.6, ITEMS.shape)
PLAN = Plan(
    {"clicks": Metric("click")},
    guardrails={"seen": Metric("impressions", margin=0.05)},
    log=LogConfig(
        unit="user", arm="variant", control="<plain>", treatment="<styled>", time="at", start="2026-03-08",
        segments=("country",),
    ),
)  # fmt: skip


def log(lift: float = 1.3) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    user = rng.integers(0, 3000, 60_000)
    at = pd.Timestamp("2026-03-01") + pd.to_timedelta(rng.integers(0, 21 * 24, len(user)), unit="h")
    treated = user % 2 == 1
    rate = 0.08 * np.where(treated & (at >= pd.Timestamp("2026-03-08")), lift, 1.0)
    return pd.DataFrame(
        {
            "user": user,
            "variant": np.where(treated, "<styled>", "<plain>"),
            "at": at,
            "click": (rng.random(len(user)) < rate).astype(int),
            "country": np.array(["fi", "<b>no</b>", "se"])[user % 3],
        }
    )


class Page(HTMLParser):
    """What a page refers to, and its ids."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "xlink:href") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.append(value)


def check_page(text: str) -> None:
    page = Page(text)
    assert all(link.startswith("#") for link in page.links)
    assert len(set(page.ids)) == len(page.ids)
    assert "<plain>" not in text
    assert "<b>no" not in text
    assert not re.search(r"@\d+@|nan%|None%", text)


def test_a_test_is_one_page_with_the_verdict_its_rule_and_every_part() -> None:
    found = analyze_log(log(), PLAN, follow=True)
    report = to_document(found, title="Spring <test>")
    text = to_html(report)
    check_page(text)
    box = report.decisions[0]
    assert (box.verdict, found.decision.verdict) == ("Ship", "ship")
    assert box.rule.lower() == found.decision.rule.lower()
    assert [s.id for s in report.sections] == ["health", "results", "guardrails", "time", "segments", "design"]
    goal = found.analysis.deciding("goal")[0]
    assert f"{100 * (goal.estimate.relative or 0):+.1f}%" in report.headline
    assert report.headline.startswith("Yes: “<styled>” changed clicks by")
    assert "held: wholly within the margin" in text
    assert "confidence sequence" in text
    assert text.count('<svg class="plot') == 2 * 5  # effects, guardrails, sequence, days, segments; wide and narrow


def test_harm_and_doubt_are_told_apart_and_a_failing_check_hides_the_answer() -> None:
    assert to_document(analyze_log(log(0.5), PLAN), title="t").headline.startswith("No: “<styled>” changed clicks by −")
    assert to_document(analyze_log(log(1.0), PLAN), title="t").headline.startswith("Not shown: ")
    broken = log().pipe(lambda f: f[(f["variant"] == "<plain>") | (f["user"] % 3 > 0)])
    report = to_document(analyze_log(broken, PLAN), title="t")
    assert (report.headline, report.decisions[0].verdict) == ("No answer: a health check fails.", "Withheld")
    assert "✗" in to_html(report) or "failed" in to_html(report)


def test_the_sequence_ends_where_the_analysis_does_and_needs_times() -> None:
    found = analyze_log(log(), PLAN, follow=True)
    last, goal = found.analysis.sequence[-1], found.analysis.deciding("goal")[0]
    assert len(found.analysis.sequence) == LOOKS
    assert last["n"] == 3000
    assert (last["relative"], last["low"], last["once_high"]) == pytest.approx(
        (goal.estimate.relative, goal.anytime.low, goal.estimate.relative_high)
    )
    assert analyze_log(log(), PLAN).analysis.sequence == ()
    table = pd.DataFrame({"arm": np.arange(500) % 2, "click": np.arange(500) % 7})
    rows = sequence(table, Plan({"clicks": Metric("click")}))
    assert rows[0]["n"] == FEWEST
    half = analyze(table.iloc[: rows[9]["n"]], Plan({"clicks": Metric("click")})).deciding("goal")[0]
    assert rows[9]["relative"] == pytest.approx(half.estimate.relative)


def test_several_arms_are_one_page_with_a_box_each() -> None:
    arms = [Arm(name, ITEMS, ODDS + shift) for name, shift in (("<plain>", 0.0), ("retro", 0.4), ("luxury", -0.4))]
    report = to_document(rehearse_arms(arms, PositionBased(), users=6000).read(), title="Looks")
    text = to_html(report)
    check_page(text)
    assert [box.verdict for box in report.decisions] == ["Ship “retro”", "Ship", "Roll back"]
    assert "effect size" in report.decisions[0].assumption  # simulated, and says so
    assert "true effect in the simulation" in text


def test_an_interleaved_test_has_a_page_too() -> None:
    arms = Arm("old", ITEMS, ODDS), Arm("new", ITEMS[:, ::-1], ODDS[:, ::-1])
    text = to_html(to_document(rehearse_interleaving(*arms, PositionBased(), users=300).read(), title="Rankers"))
    check_page(text)
    assert "Picks of the teams" in text
    assert "within users" in text


def test_the_command_writes_it_for_every_design(tmp_path: Path) -> None:
    log().to_parquet(tmp_path / "log.parquet")
    (tmp_path / "plan.toml").write_text(
        '[log]\nunit = "user"\narm = "variant"\ncontrol = "<plain>"\ntreatment = "<styled>"\n[goals.clicks]\n'
        'numerator = "click"\n'
    )
    arms = [Arm(name, ITEMS, ODDS + shift) for name, shift in (("plain", 0.0), ("retro", 0.4), ("luxury", -0.4))]
    rehearse_arms(arms, PositionBased(), users=2000).log.to_csv(tmp_path / "arms.csv", index=False)
    (tmp_path / "arms.toml").write_text(
        'design = "multi-arm"\nadjust = "dunnett"\n[log]\nlevel = "user"\narm = "variant"\ncontrol = "plain"\n'
        'treatments = ["retro", "luxury"]\n[goals.clicks]\nnumerator = "clicks"\n'
    )
    for name, kind in (("log.parquet", "plan"), ("arms.csv", "arms")):
        page = tmp_path / f"{kind}.html"
        given = ["analyze", str(tmp_path / name), "--plan", str(tmp_path / f"{kind}.toml"), "--report", str(page)]
        done = CliRunner().invoke(main, given)
        assert done.exit_code == 0, done.output
        assert "verdict: ship" in done.output
        check_page(page.read_text())
