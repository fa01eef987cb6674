"""The offline comparison as tables and a plot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evaluation.offline.tables import beyond_tables
from evaluation.report import plots
from evaluation.report.formats import MISSING, clean, estimate, finite, number, p_value, plain

Record = Mapping[str, Any]

NAMES = {"ndcg": "NDCG", "map": "MAP", "mrr": "MRR", "hit_rate": "Hit rate"}
HEADLINE = ("recall", "ndcg", "hit_rate", "coverage")
SEGMENTS = {
    "all": "All items are candidates.",
    "warm": "Only items that had interactions in training: where collaborative filtering is at home.",
    "cold": "Only items nobody had touched in training: a model must know them by their features or guess.",
}


@dataclass(frozen=True)
class Cell:
    """One value with its interval; ``best`` marks the highest of its column."""

    value: str
    interval: str
    best: bool
    order: float | None


@dataclass(frozen=True)
class SegmentTable:
    """Every model in one segment of the items."""

    segment: str
    about: str
    users: str
    columns: list[str]
    rows: list[tuple[str, list[Cell]]]


@dataclass(frozen=True)
class BeyondTable:
    """What the lists of every model are like in one respect."""

    caption: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """What the offline section shows."""

    k: int
    baseline: str
    tables: list[SegmentTable]
    denominators: list[tuple[str, str]]
    plot: Markup
    differences: list[list[Any]]
    everything: list[list[Any]]
    groups: list[list[Any]]
    beyond: list[BeyondTable]
    split: Record
    notes: list[str]


def metric_name(metric: object, k: object = None) -> str:
    """A metric as people write it.

    Example:
        >>> metric_name("hit_rate", 10), metric_name("recall", 20), metric_name("coverage")
        ('Hit rate@10', 'Recall@20', 'Coverage')
    """
    name = NAMES.get(str(metric)) or clean(metric).replace("_", " ").capitalize()
    return name if k is None else f"{name}@{clean(k)}"


def model_name(row: Record) -> str:
    """A model and what it knows of the items.

    Example:
        >>> model_name({"model": "hybrid", "features": "retro"})
        'hybrid · retro'
    """
    return f"{clean(row.get('model'))} · {clean(row.get('features'))}"


def comparison(offline: Record) -> Comparison | None:
    """The view of ``metrics["offline"]``; None where nothing was compared."""
    rows: list[Record] = [r for r in offline.get("rows") or [] if finite(r.get("value")) is not None]
    if not rows:
        return None
    k = main_k(offline)
    segments = list(dict.fromkeys(r["segment"] for r in rows))
    segments.sort(key=lambda s: list(SEGMENTS).index(s) if s in SEGMENTS else len(SEGMENTS))
    counts: Record = offline.get("segments") or {}
    differences: list[Record] = list(offline.get("comparisons") or [])
    looks: list[Record] = list(offline.get("looks") or [])
    return Comparison(
        k=k,
        baseline=_baseline(offline),
        tables=[
            _segment_table(s, [r for r in rows if r["segment"] == s and _at(r, k)], counts.get(s) or {})
            for s in segments
        ],
        denominators=sorted({(metric_name(r["metric"]), clean(r.get("denominator"))) for r in rows}),
        plot=_forest([r for r in differences if r["metric"] == "recall" and _at(r, k)], segments, k),
        differences=[_difference(r) for r in (*differences, *looks)],
        everything=[_full(r) for r in rows],
        beyond=_beyond(offline, segments) if offline.get("beyond") or offline.get("further") else [],
        groups=[_full(r)[:-1] for r in offline.get("groups") or [] if r["metric"] in HEADLINE],
        split=offline.get("split") or {},
        notes=[clean(n) for n in offline.get("notes") or []],
    )


BIASED = "Biased: such values may order models otherwise than ranks among all candidates do. Decide nothing by them."


def _beyond(offline: Record, segments: Sequence[str]) -> list[BeyondTable]:
    """A table a segment and respect; the shares of exposure, a line a group, of all items only."""
    found = []
    for segment in segments:
        for title, head, lines in beyond_tables(offline, segment):
            names = [_head(name) for name in head]
            caption = f"{plain(segment).capitalize()} items: {title}, lists of {main_k(offline)}"
            if head[1] == "due":
                if segment == "all":
                    found.append(BeyondTable(caption, names, [[clean(x) or MISSING for x in line] for line in lines]))
                continue
            rows = [[f"{clean(a)} · {clean(b)}", *(clean(x) or MISSING for x in rest)] for a, b, *rest in lines]
            note = BIASED if title.startswith("BIASED") else ""
            found.append(BeyondTable(caption, ["Model · features", *names[2:]], rows, note))
    return found


def _head(name: str) -> str:
    """``intra_list_distance@20 (style)`` as people write it; the caption says how long lists are."""
    text = re.sub(r"@\d+", "", clean(name)).replace("_", " ").replace(" / ", " · ").replace("arp", "ARP")
    return text if " · " in text else text[:1].upper() + text[1:]


def main_k(offline: Record) -> int:
    """The longest list compared; plots and the first tables speak of it."""
    known = [*(offline.get("ks") or []), *(r.get("k") for r in offline.get("rows") or [])]
    return max((k for k in known if finite(k) is not None), default=0)


def _at(row: Record, k: int) -> bool:
    return row.get("k") in (k, None)


def _baseline(offline: Record) -> str:
    baseline = offline.get("baseline")
    if isinstance(baseline, Mapping):
        return model_name(baseline)
    return clean(baseline).replace(" / ", " · ") if baseline else MISSING


def _segment_table(segment: str, rows: Sequence[Record], counts: Record) -> SegmentTable:
    known = list(dict.fromkeys(r["metric"] for r in rows))
    metrics = [m for m in HEADLINE if m in known] or known[:4]
    models = list(dict.fromkeys(model_name(r) for r in rows))
    found = {(model_name(r), r["metric"]): r for r in rows}
    best = {m: max((found[x, m]["value"] for x in models if (x, m) in found), default=None) for m in metrics}
    users = {r["n_users"] for r in rows if r["metric"] != "coverage" and r.get("n_users") is not None}
    ks = {r["metric"]: r.get("k") for r in rows}
    return SegmentTable(
        segment=clean(segment),
        about=SEGMENTS.get(segment, ""),
        users=_users(users, counts),
        columns=[metric_name(m, ks[m]) for m in metrics],
        rows=[(x, [_cell(found.get((x, m)), best[m]) for m in metrics]) for x in models],
    )


def _users(averaged: set[Any], counts: Record) -> str:
    parts = []
    if averaged:
        ends = " to ".join(number(n) for n in sorted({min(averaged), max(averaged)}))
        parts.append(f"{ends} users averaged")
    if finite(counts.get("without_relevant")) is not None:
        parts.append(f"{number(counts['without_relevant'])} without a relevant item here left out")
    if finite(counts.get("candidates")) is not None:
        parts.append(f"{number(counts['candidates'])} candidate items")
    return ", ".join(parts)


def _cell(row: Record | None, best: float | None) -> Cell:
    """Values of one column carry equally many decimals, so that they can be compared down the column."""
    if row is None or best is None:
        return Cell(MISSING, "", False, None)
    decimals = 3 if best >= 0.05 else 4
    ends = [finite(row.get(key)) for key in ("low", "high")]
    brackets = ", ".join(f"{x:.{decimals}f}" for x in ends if x is not None)
    value = row["value"]
    return Cell(f"{value:.{decimals}f}", f"[{brackets}]" if None not in ends else "", value == best > 0, value)


def _forest(rows: Sequence[Record], segments: Sequence[str], k: int) -> Markup:
    ordered = sorted((r for r in rows if _whole(r)), key=lambda r: segments.index(r["segment"]))
    if not ordered:
        return Markup("")
    lines = [
        plots.Row(
            label=model_name(r),
            value=r["difference"],
            low=r["low"],
            high=r["high"],
            text=estimate(r["difference"], r["low"], r["high"]),
            group=f"{plain(r['segment']).capitalize()} items",
        )
        for r in ordered
    ]
    above, below = (sum(x.role == role for x in lines) for role in ("up", "down"))
    about = (
        f"Differences in recall@{k} against the baseline, {len(lines)} intervals: {above} wholly above 0, "
        f"{below} wholly below 0, {len(lines) - above - below} include 0. The tables below hold the numbers."
    )
    return plots.forest("offline", lines, tick=lambda x: f"{x:+.4g}".replace("-", "−") if x else "0", about=about)


def _whole(row: Record) -> bool:
    return all(finite(row.get(key)) is not None for key in ("difference", "low", "high")) and "segment" in row


def _difference(row: Record) -> list[Any]:
    text = estimate(row.get("difference"), row.get("low"), row.get("high"))
    baseline = _baseline(row)
    return [
        model_name(row),
        plain(row.get("segment")),
        metric_name(row["metric"], row.get("k")),
        text,
        p_value(row.get("p_adjusted", row.get("p_value"))),
        baseline,
    ]


def _full(row: Record) -> list[Any]:
    text = estimate(row["value"], row.get("low"), row.get("high"), sign=False)
    name = metric_name(row["metric"], row.get("k"))
    return [
        model_name(row),
        plain(row["segment"]),
        name,
        text,
        number(row.get("n_users")),
        clean(row.get("denominator")),
    ]
