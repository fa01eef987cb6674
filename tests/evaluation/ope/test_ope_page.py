"""A policy judged by a log as a page: its verdict, its numbers, and nothing from outside."""

import numpy as np
from click.testing import CliRunner

from cli import main
from evaluation.ope import BanditLog, Table, Uniform, evaluate_policy
from evaluation.ope.document import to_document
from evaluation.report import to_html


def small_log(n: int = 6000) -> BanditLog:
    rng = np.random.default_rng(0)
    action = rng.integers(0, 2, n)
    clicked = rng.random(n) < np.array([0.2, 0.3])[action]
    return BanditLog.of(action, clicked, np.full(n, 0.5), actions=["original", "retro"])


def test_the_page_says_what_the_result_says() -> None:
    found = evaluate_policy(small_log(), Table(np.array([[0.0, 1.0]]), "always <retro>"))
    report = to_document(found)
    text = to_html(report)
    assert report.decisions[0].verdict == "Better"
    assert "always <retro>" not in text
    assert "always &lt;retro&gt;" in text
    rows = {row[0]: row for row in report.sections[0].blocks[1].rows}  # type: ignore[union-attr]
    assert set(rows) == {row.estimator for row in found.rows}
    assert str(rows["dr"][1]).startswith(f"{found['dr'].value:.2f}"[:4])
    assert "http" not in text.replace("http-equiv", "")
    assert all(line in text.replace("&#39;", "'") for line in found.assumptions)


def test_a_log_that_cannot_tell_says_so_first() -> None:
    report = to_document(evaluate_policy(small_log(60), Uniform(2)))
    assert report.decisions[0].verdict == "Withheld"
    assert report.headline.startswith("The log cannot tell")


def test_the_command_writes_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "log.csv").write_text("item_id,click,propensity\n" + "a,1,0.5\nb,0,0.5\n" * 300)
    given = ["ope", str(tmp_path / "log.csv"), "--policy", "uniform", "--report", str(tmp_path / "page.html")]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    assert "Policy judged by a log" in (tmp_path / "page.html").read_text()
