"""Plots, thumbnails and sentences, each by itself."""

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from invented_study import lean, study
from PIL import Image

from evaluation.report import document, to_html, to_markdown
from evaluation.report.comparison import comparison
from evaluation.report.experiment import guardrails, results, segments
from evaluation.report.formats import estimate, finite, number
from evaluation.report.plots import Row, bars, forest
from evaluation.report.summary import summary
from evaluation.report.thumbs import thumbnails
from evaluation.report.verdict import decision


def centre_of_markers(svg: str) -> list[float]:
    """x of every marker of the wide drawing."""
    return [float(x) for x in re.findall(r'<use href="#t-wide-[^"]+" x="([\d.]+)"', svg.split("</svg>")[0])]


def test_markers_lie_at_their_values() -> None:
    rows = [Row(str(v), v, v - 0.1, v + 0.1, "") for v in (-1.0, 0.0, 2.0)]
    a, b, c = centre_of_markers(forest("t", rows, tick=str, about="x"))
    assert (c - b) / (b - a) == pytest.approx(2.0, abs=1e-3)  # 2 units to the right against 1 to the left


def test_a_truth_is_marked() -> None:
    plain = forest("t", [Row("a", 1.0, 0.5, 1.5, "")], tick=str, about="x")
    marked = forest("t", [Row("a", 1.0, 0.5, 1.5, "", truth=1.2)], tick=str, about="x")
    assert "var(--truth)" not in plain
    assert "var(--truth)" in marked


@pytest.mark.parametrize(
    ("low", "high", "role"), [(0.1, 0.3, "up"), (-0.3, -0.1, "down"), (-0.1, 0.1, "flat"), (0, 1, "flat")]
)
def test_colour_tells_the_side(low: float, high: float, role: str) -> None:
    assert f"var(--{role})" in forest("t", [Row("a", (low + high) / 2, low, high, "")], tick=str, about="x")


def test_labels_of_any_script_arrive_escaped() -> None:
    svg = forest("t", [Row("<b>مرحبا 🧥 $a_1$ @1@", 1, 0, 2, "text @0@")], tick=str, about='"><script>')
    assert svg.count("&lt;b&gt;مرحبا 🧥 $a_1$ @1@") == 2
    assert svg.count("text @0@") == 2
    assert "<script>" not in svg


def test_flat_data_can_be_drawn() -> None:
    assert bars("t", [Row("a", 0.0, 0, 0, "")], tick=str, about="x").count("<svg") == 2
    assert forest("t", [Row("a", 0.0, 0, 0, "")], tick=str, about="x").count("<svg") == 2


def test_a_thumbnail_is_the_picture() -> None:
    ramp = np.linspace(0, 255, 200, dtype=np.uint8)[None, :, None].repeat(100, 0).repeat(3, 2)
    thumb = thumbnails([("a", "original")], lambda item, look: Image.fromarray(ramp))["a", "original"]
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(thumb.uri.partition(",")[2]))).convert("RGB"))
    assert back.shape == ramp.shape
    assert np.abs(back.astype(int) - ramp).mean() < 4  # a lossy ramp at quality 82, in 255 steps


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "RGBA", "LA", "I;16"])
def test_every_mode_of_picture(mode: str) -> None:
    thumb = thumbnails([("a", "x")], lambda item, look: Image.new(mode, (12, 20)))["a", "x"]
    assert (thumb.width, thumb.height) == (12, 20)


def test_transparent_pixels_become_white() -> None:
    thumb = thumbnails([("a", "x")], lambda item, look: Image.new("RGBA", (8, 8), (0, 0, 0, 0)))["a", "x"]
    back = Image.open(io.BytesIO(base64.b64decode(thumb.uri.partition(",")[2]))).convert("RGB")
    assert back.getpixel((4, 4)) == (255, 255, 255)


def test_an_error_of_the_source_is_raised() -> None:
    def broken(item: str, look: str) -> Image.Image:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        thumbnails([("a", "x")], broken)


@pytest.mark.parametrize(
    ("verdict", "low", "high", "starts", "ends"),
    [
        ("ship", 0.1, 0.2, "Yes, in a rehearsal", ")."),
        ("roll back", -0.2, -0.1, "No, in", ")."),
        ("roll back", 0.1, 0.2, "No, in", ", but what must not get worse did."),  # the goal rose, a guardrail broke
        ("keep running", -0.1, 0.1, "Not shown, in", "which may be chance."),
        ("keep running", 0.1, 0.2, "Not yet, in", "but the test does not decide yet."),  # an early look
        ("withheld", 0.1, 0.2, "No answer, in", "must not be read."),
        ("", 0.1, 0.2, "Yes, in", ")."),  # no verdict was given: the interval alone
    ],
)
def test_the_answer_follows_the_verdict(verdict: str, low: float, high: float, starts: str, ends: str) -> None:
    metrics = study(1)
    metrics["ab"]["decision"]["verdict"] = verdict
    for row in metrics["ab"]["results"]:
        row.update(low=low, high=high)
    told = summary(metrics).headline
    assert told.startswith(starts)
    assert told.endswith(ends)


def test_a_failed_check_withholds_the_answer() -> None:
    metrics = study(1)
    metrics["ab"]["srm"]["ok"] = False
    assert summary(metrics).headline.startswith("No answer")


def test_for_whom_sorts_the_levels() -> None:
    told = dict(summary(study(1)).sentences)["For whom"]
    gain, nothing = told.split("nothing clear among")
    assert "leans to it" in gain
    assert "neutral" in gain
    assert "leans away" in nothing


def test_the_offline_sentence_names_the_largest_difference() -> None:
    metrics = study(1)
    rows = metrics["offline"]["comparisons"]
    pictures = ("original", "retro", "minimalist")
    at = [r for r in rows if r["metric"] == "recall" and r["k"] == 20 and r["features"] in pictures]
    told = dict(summary(metrics).sentences)["Offline"]
    for segment in ("all", "cold"):
        best = max((r for r in at if r["segment"] == segment), key=lambda r: r["difference"])
        assert estimate(best["difference"], best["low"], best["high"]) in told


def test_the_best_of_each_column_is_marked() -> None:
    view = comparison(study(1)["offline"])
    assert view is not None
    for table in view.tables:
        for column in range(len(table.columns)):
            values = [cells[column].order for _, cells in table.rows]
            marked = [cells[column].order for _, cells in table.rows if cells[column].best]
            assert marked == [max(v for v in values if v is not None)]


def test_a_column_of_zeros_has_no_best() -> None:
    offline = study(1)["offline"]
    for row in offline["rows"]:
        row.update(value=0.0, low=0.0, high=0.0)
    view = comparison(offline)
    assert view is not None
    assert not any(cell.best for table in view.tables for _, cells in table.rows for cell in cells)


def test_counts_of_a_segment_are_told() -> None:
    offline = study(1)["offline"]
    offline["segments"] = {"cold": {"averaged": 127, "without_relevant": 267, "candidates": 48}}
    view = comparison(offline)
    assert view is not None
    cold = next(t for t in view.tables if t.segment == "cold")
    assert cold.users == "127 users averaged, 267 without a relevant item here left out, 48 candidate items"


@pytest.mark.parametrize(
    ("verdict", "role"),
    [
        ("ship", "up"),
        ("roll back", "down"),
        ("roll_back", "down"),
        ("keep running", "flat"),
        ("withheld", "flat"),
        ("?", "flat"),
    ],
)
def test_verdicts(verdict: str, role: str) -> None:
    found = decision({"ab": {"decision": {"verdict": verdict, "rule": "r", "because": "one reason"}}})
    assert found is not None
    assert (found.role, found.because) == (role, ["One reason"])


def test_goal_guardrail_and_others_stand_apart() -> None:
    ab: dict[str, Any] = study(1)["ab"]
    figure, table = results(ab).blocks[:2]
    names = [row[0] for row in table.rows]
    assert names == ["clicks per user (goal)"] * 2 + ["click rate", "sessions per user (guardrail)"]
    wide = figure.plot.split("</svg>")[0]
    assert wide.index(">Goal<") < wide.index(">Other estimates<")
    assert "Guardrail" not in wide  # they have a section of their own
    assert [row[0] for row in guardrails(ab).blocks[1].rows] == ["sessions per user"]


@pytest.mark.parametrize(
    ("low", "high", "better", "margin", "reads"),
    [
        (-0.01, 0.02, "higher", 0.02, "held"),  # a loss of 2% is not in the interval
        (-0.03, 0.02, "higher", 0.02, "open"),
        (-0.05, -0.03, "higher", 0.02, "broken"),
        (0.03, 0.05, "higher", 0.02, "held"),
        (0.03, 0.05, "lower", 0.02, "broken"),  # more returns are worse
        (-0.05, 0.01, "lower", 0.02, "held"),
        (-0.05, 0.03, "lower", 0.02, "open"),
        (-0.05, -0.01, "lower", 0.0, "held"),
    ],
)
def test_a_guardrail_is_read_by_its_margin(low: float, high: float, better: str, margin: float, reads: str) -> None:
    row = {"metric": "m", "method": "Welch", "role": "guardrail", "relative": (low + high) / 2}
    row |= {"relative_low": low, "relative_high": high}
    ab = {"design": {"margins": {"m": margin}, "better": {"m": better}}, "results": [row]}
    figure, table = guardrails(ab).blocks
    assert table.rows[0][-1].startswith(reads)
    assert table.rows[0][-2] == ("0%" if not margin else "+2%" if better == "lower" else "−2%")
    assert figure.plot.count("stroke-dasharray") == 2  # the margin, in either drawing


def test_a_simulated_test_always_says_what_it_assumes() -> None:
    ab: dict[str, Any] = study(1)["ab"]
    del ab["assumption"]
    box = decision({"ab": ab})
    assert box is not None
    assert "validates the analysis" in box.assumption


def test_a_failing_check_withholds_the_verdict() -> None:
    metrics = study(1)
    assert decision(metrics).verdict == "Would ship"
    metrics["data"]["images"]["bad"] = 47  # of 240: 19.6%
    assert decision(metrics).verdict == "Would ship"
    metrics["data"]["images"]["bad"] = 49  # 20.4%
    box = decision(metrics)
    assert (box.verdict, box.role) == ("Withheld", "flat")
    assert box.because == ["Photos: 49 of 240 items (20.4%) have no usable photo; at most 20% may."]
    assert "a check failed, so the effect on clicks per user must not be read" in summary(metrics).headline
    assert "For whom" not in dict(summary(metrics).sentences)  # nor is its effect told in another place


def test_a_real_test_decides_over_the_rehearsal() -> None:
    metrics = study(1)
    real = {key: value for key, value in metrics["ab"].items() if key not in ("truth", "assumption")}
    metrics["experiment"] = real | {"decision": {"verdict": "roll back", "rule": "r", "because": []}}
    assert (decision(metrics).kicker, decision(metrics).verdict) == ("Decision", "Roll back")


def numbers_as(thing: Any, x: Any) -> Any:
    if isinstance(thing, dict):
        return {key: numbers_as(value, x) for key, value in thing.items()}
    if isinstance(thing, list):
        return [numbers_as(value, x) for value in thing]
    return x if isinstance(thing, int | float) and not isinstance(thing, bool) else thing


@pytest.mark.parametrize("x", [float("nan"), float("inf"), None, 0, -1, 1e300, 1e-300], ids=str)
def test_whatever_the_numbers_are_the_report_is_written(x: Any) -> None:
    metrics = numbers_as(lean(2), x)
    metrics["study"] = lean(1)["study"]  # seed and configuration are shown as they are
    told = document(metrics, lambda item, look: None)
    words = to_markdown(told).replace("|", " ").split()
    assert not {"nan", "inf", "None", "NaN"} & set(words)
    json.dumps(told.to_json(), allow_nan=False)  # raises on what is no number
    assert len(to_html(told)) < 400_000


def test_a_plot_of_many_segments_shows_the_first_and_says_so() -> None:
    ab = study(1)["ab"]
    ab["segments"] = [ab["segments"][0] | {"level": f"level {i}"} for i in range(300)]
    figure, line, table = segments(ab).blocks
    assert len(table.rows) == 300
    assert figure.plot.count(">level ") == 2 * 40
    assert line.text.startswith("300 segments, the first 40 of them drawn")


@pytest.mark.parametrize("x", [0, 1, -1, 123456, 0.5, 1.005, -0.000123456, 99999.5, 1e-9, 3.14159])
def test_numbers_read_back(x: float) -> None:
    # Four significant digits: at most half a unit of the fourth away.
    back = float(number(x).replace(",", "").replace("−", "-"))
    assert back == pytest.approx(x, rel=5.1e-4)


def test_finite_refuses_what_is_no_number() -> None:
    assert [finite(x) for x in (True, "3", None, float("inf"), np.float32(2))] == [
        None,
        None,
        None,
        None,
        2.0,
    ]


def test_looks_are_compared_with_the_photos_of_the_same_model() -> None:
    base = {"metric": "recall", "k": 20, "segment": "all"}
    offline = {
        "ks": [20],
        "rows": [
            {**base, "model": "content", "features": "original", "value": 0.2},
            {**base, "model": "hybrid", "features": "original", "value": 0.3},
        ],
        "looks": [
            {**base, "model": m, "features": look, "difference": d, "low": d - 0.01, "high": d + 0.01, "p_adjusted": p}
            for m, look, d, p in (
                ("content", "retro", 0.05, 0.01),
                ("hybrid", "retro", 0.02, 0.01),
                ("hybrid", "fashion", 0.02, 0.2),
            )
        ],
    }
    text = dict(summary({"offline": offline}).sentences)["Look for photo"]
    assert "of hybrid on all items" in text  # the model that does best with photos
    assert "retro +0.020 [0.010, 0.030];" in text
    assert "fashion +0.020 [0.010, 0.030], which may be chance." in text  # by the adjusted p, whatever the interval
    assert "content" not in text


@pytest.mark.parametrize(
    ("truth", "kicker", "verdict"),
    [
        ({"clicks_per_user": {}}, "Rehearsal on simulated customers, style effect +0.1 assumed", "Would ship"),
        (None, "Decision", "Ship"),
    ],
)
def test_a_rehearsal_is_no_decision(truth: Any, kicker: str, verdict: str) -> None:
    ab = {"decision": {"verdict": "ship"}, "design": {"style_effect": 0.1}, "truth": truth}
    found = decision({"ab": ab})
    assert (found.kicker, found.verdict) == (kicker, verdict)


def test_lists_beyond_accuracy_have_their_tables() -> None:
    key = {
        "model": "hybrid",
        "features": "retro",
        "segment": "all",
        "n_users": 9,
        "n_without": 1,
        "denominator": "users",
    }
    invented = study()["offline"]
    found = comparison(
        invented
        | {
            "beyond": [
                key | {"metric": "arp", "of": "", "k": 20, "value": 12.5, "low": 11.25, "high": 14.0, "due": None},
                key | {"metric": "gini", "of": "", "k": 20, "value": 0.75, "low": None, "high": None, "due": None},
                key | {"metric": "exposure_share", "of": "price: low", "k": 20, "value": 0.5, "low": None, "high": None,
                       "due": 0.25},
            ],
            "further": [
                key | {"metric": "sampled (BIASED)", "of": "recall, 9 drawn", "k": 20, "value": 0.5, "low": None,
                       "high": None, "due": None}
            ],
        }
    )  # fmt: skip
    assert found is not None
    tables = {table.caption: table for table in found.beyond}
    reach = tables["All items: reach and popularity, lists of 20"]
    assert reach.columns == ["Model · features", "Gini", "ARP"]
    assert reach.rows == [["hybrid · retro", "0.7500", "12.5000 [11.2500, 14.0000]"]]
    exposure = tables["All items: exposure, lists of 20"]
    assert (exposure.columns, exposure.rows) == (["Share of exposure", "Due", "hybrid · retro"],
                                                 [["price: low", "0.2500", "0.5000"]])  # fmt: skip
    assert tables["All items: BIASED, among sampled items, lists of 20"].note.startswith("Biased")
    assert comparison(invented).beyond == []  # type: ignore[union-attr]
