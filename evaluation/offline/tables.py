"""A comparison as tables for papers and spreadsheets: CSV, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.metrics import RANKING
from recsys.errors import ConfigError, unknown_name
from recsys.files import atomic_write

Record = Mapping[str, Any]
Line = tuple[str, ...]

ALPHA = 0.05
"""From this adjusted p-value on, a difference is marked."""
SHOWN = ("coverage",)
"""Shares of lists that tables for people show; `to_csv` has them all."""
TABLES: Mapping[str, tuple[str, ...]] = {
    "reach and popularity": ("gini", "entropy", "novelty", "arp", "popularity_lift", "personalisation"),
    "diversity": ("intra_list_distance", "unexpectedness", "serendipity"),
    "calibration and disparity": ("calibration", "disparity"),
    "exposure": ("exposure_share",),
    "presentations": ("presentation_mix",),
    "debiased": ("snips", "ips", "stratified"),
    "all ranks": ("auc",),
    "BIASED, among sampled items": ("sampled (BIASED)",),
}
"""Title → measures that stand side by side."""
MARK = {"markdown": "*", "latex": r"$^{*}$"}


def table_lines(found: Record, segment: str, *, mark: str = "*") -> tuple[Line, list[Line]]:
    """Head and lines of one segment at the largest k: a model's means with intervals.

    ``mark`` follows a value whose difference from the baseline has an adjusted p-value of at most 0.05.

    Args:
        found: As `OfflineResult.to_json` gives it.
        segment: ``all``, ``warm``, ``cold``, or ``name: label`` of a group.
        mark: What follows such values.
    """
    k = max(found["ks"])
    rows = [r for r in (*found["rows"], *found["groups"]) if r["segment"] == segment and r["k"] == k]
    metrics = [m for m in dict.fromkeys(r["metric"] for r in rows) if m in RANKING or m in SHOWN]
    models = list(dict.fromkeys((r["model"], r["features"]) for r in rows))
    values = {(r["model"], r["features"], r["metric"]): r for r in rows}
    clear = {
        (r["model"], r["features"], r["metric"])
        for r in found["comparisons"]
        if r["segment"] == segment and r["k"] == k and r["p_adjusted"] <= ALPHA
    }
    head = ("model", "features", *(f"{metric}@{k}" for metric in metrics))
    cells = [
        (*model, *(_cell(values.get((*model, m))) + (mark if (*model, m) in clear else "") for m in metrics))
        for model in models
    ]
    return head, cells


def beyond_tables(found: Record, segment: str) -> list[tuple[str, Line, list[Line]]]:
    """What lists are like beyond hits, at the largest k: title, head and lines of each table that has any.

    A value has its interval where it is a mean over users or a ratio of such means.

    Args:
        found: As `OfflineResult.to_json` gives it.
        segment: ``all``, ``warm`` or ``cold``.
    """
    k = max(found["ks"])
    rows = [r for r in (*found.get("beyond", ()), *found.get("further", ())) if r["segment"] == segment]
    made = []
    for title, measures in TABLES.items():
        mine = [r for r in rows if r["metric"] in measures and (r["k"] == k or r["metric"] == "auc")]
        seen = dict.fromkeys((r["metric"], r["of"]) for r in mine)
        if seen:
            made.append((title, *_wide(mine, sorted(seen, key=lambda column: measures.index(column[0])), k)))
    return made


def _wide(rows: Sequence[Record], columns: Sequence[tuple[str, str]], k: int) -> tuple[Line, list[Line]]:
    models = list(dict.fromkeys((r["model"], r["features"]) for r in rows))
    values = {(r["model"], r["features"], r["metric"], r["of"]): r for r in rows}
    due = {(r["metric"], r["of"]): r["due"] for r in rows if r.get("due") is not None}
    if due:  # there are many groups: one a line, and what is due beside
        head = (f"share of exposure@{k}", "due", *(" / ".join(model) for model in models))
        lines = [(c[1], f"{due[c]:.4f}", *(_cell(values.get((*model, *c))) for model in models)) for c in columns]
        return head, lines
    head = ("model", "features", *(_column_name(metric, of, k) for metric, of in columns))
    return head, [(*model, *(_cell(values.get((*model, *column))) for column in columns)) for model in models]


def _column_name(metric: str, of: str, k: int) -> str:
    place = "" if metric == "auc" else f"@{k}"
    return f"{metric}{place}" + (f" ({of})" if of else "")


def to_csv(found: Record) -> str:
    """Every value of every segment and group, one a line, unrounded; ``of`` says of what where one is of several."""
    rows = [row for name in ("rows", "groups", "beyond", "further") for row in found.get(name, ())]
    return pd.DataFrame(rows).to_csv(index=False)


def differences_csv(found: Record) -> str:
    """Every difference, one a line, unrounded; ``table`` says from which list of differences."""
    tables = ("comparisons", "ablations", "looks", "beyond_differences")
    rows = [{"table": name, **row} for name in tables for row in found.get(name, ())]
    return pd.DataFrame(rows).to_csv(index=False)


def to_markdown(found: Record) -> str:
    """One table a segment at the largest k, and what the marks mean."""
    parts = []
    for segment, about in found["segments"].items():
        if about["averaged"]:
            head, lines = table_lines(found, segment, mark=MARK["markdown"])
            parts.append(f"### {_about(segment, about)}\n\n" + _markdown(head, lines))
            parts += [
                f"#### {segment} items: {title}\n\n" + _markdown(head, lines)
                for title, head, lines in beyond_tables(found, segment)
            ]
    return "\n".join([*parts, _legend(found)]) + "\n"


def _markdown(head: Line, lines: Sequence[Line]) -> str:
    body = [_piped(head), _piped(["---", "---", *["--:"] * (len(head) - 2)]), *map(_piped, lines)]
    return "\n".join(body) + "\n"


def to_latex(found: Record) -> str:
    """One ``tabular`` a segment at the largest k, for the package booktabs."""
    parts = []
    for segment, about in found["segments"].items():
        if about["averaged"]:
            head, lines = table_lines(found, segment, mark="\0")
            parts += _latex(_about(segment, about), head, lines)
            for title, head, lines in beyond_tables(found, segment):
                parts += _latex(f"{segment} items: {title}", head, lines)
    return "\n".join([*parts, f"% {_legend(found)}"]) + "\n"


def _latex(about: str, head: Line, lines: Sequence[Line]) -> list[str]:
    return [
        f"% {about}",
        rf"\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}",
        r"\toprule",
        _ruled(head),
        r"\midrule",
        *map(_ruled, lines),
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]


FORMATS: dict[str, Callable[[Record], str]] = {"csv": to_csv, "markdown": to_markdown, "latex": to_latex}
FILES = {"values.csv": to_csv, "differences.csv": differences_csv, "table.md": to_markdown, "table.tex": to_latex}


def as_text(found: Record, kind: str) -> str:
    """A comparison in one of the `FORMATS`.

    Raises:
        ConfigError: There is no such format.
    """
    if kind not in FORMATS:
        raise ConfigError(unknown_name("format", kind, FORMATS))
    return FORMATS[kind](found)


def write_tables(found: Record, folder: Path) -> None:
    """All `FILES`, atomically."""
    folder.mkdir(exist_ok=True)
    for name, make in FILES.items():
        with atomic_write(folder / name, "w") as file:
            file.write(make(found))


def _cell(row: Record | None) -> str:
    if row is None:
        return ""
    ends = "" if row["low"] is None else f" [{row['low']:.4f}, {row['high']:.4f}]"
    return f"{row['value']:.4f}{ends}"


def _about(segment: str, about: Record) -> str:
    return (
        f"{segment} items: {about['candidates']} candidates, {about['averaged']} users averaged, "
        f"{about['without_relevant']} without a relevant item"
    )


def _legend(found: Record) -> str:
    return (
        f"Means over users with 95 % bootstrap intervals. * differs from {found['baseline']}: paired randomisation, "
        f"p adjusted <= {ALPHA:g}. Beyond accuracy higher is not better as such, and nothing is marked."
    )


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ruled(cells: Sequence[str]) -> str:
    return " & ".join(_escaped(cell) for cell in cells) + r" \\"


def _escaped(text: str) -> str:
    for sign in "&%$#_{}":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\0", MARK["latex"])
