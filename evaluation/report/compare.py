"""Two studies side by side: decision, results, offline, cost, and what differs in their configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evaluation.report import plots
from evaluation.report.blocks import Block, Cell, Check, Decision, Document, Figure, Line, Section, Table
from evaluation.report.checks import checks, test_of
from evaluation.report.comparison import main_k, metric_name, model_name
from evaluation.report.experiment import SIDES, relative, role_of, whole
from evaluation.report.formats import MISSING, clean, duration, estimate, finite, memory, number, percent, plain
from evaluation.report.running import rate
from evaluation.report.verdict import decision, verdict_of
from evaluation.report.view import UNDECIDED

Record = Mapping[str, Any]
QUESTION = "What differs between two studies?"
SAME = "Both studies say the same here."
DIFFERING = {"config": "Settings that differ", "versions": "Versions that differ", "hashes": "Data that differ"}
DISPLAYED = ("recall", "ndcg", "coverage")


def compare(a: Record, b: Record) -> Document:
    """Two studies as one document.

    Args:
        a: ``metrics.json`` of the study to compare with, any section may be absent.
        b: That of the other.

    Example:
        >>> page = compare({"study": {"name": "spring"}}, {"study": {"name": "summer"}})
        >>> page.title, [section.id for section in page.sections]
        ('spring and summer', ['results', 'health', 'offline', 'cost', 'configuration'])
    """
    both = (a, b)
    names = _names(both)
    boxes = [decision(metrics) or UNDECIDED for metrics in both]
    return Document(
        title=f"{names[0]} and {names[1]}",
        question=QUESTION,
        headline=_headline(both, names),
        answers=[],
        decisions=[_named(box, name) for box, name in zip(boxes, names, strict=True)],
        sections=[
            _results(both, names),
            _health(both, names),
            _offline(both, names),
            _cost(both, names),
            _configuration(both, names),
        ],
        footer="Each study has a report of its own in its folder.",
    )


def _names(both: Sequence[Record]) -> list[str]:
    names = [clean((m.get("study") or {}).get("name") or "Study") for m in both]
    return names if names[0] != names[1] else [f"{names[0]} (first)", f"{names[1]} (second)"]


def _named(box: Decision, name: str) -> Decision:
    return replace(box, kicker=f"{name}: {box.kicker[:1].lower()}{box.kicker[1:]}")


def _headline(both: Sequence[Record], names: Sequence[str]) -> str:
    verdicts = [verdict_of(m) or "no test" for m in both]
    if verdicts[0] == verdicts[1]:
        return f"Both studies come to the same verdict: {verdicts[0]}."
    return f"{names[0]} comes to “{verdicts[0]}”, {names[1]} to “{verdicts[1]}”."


def _results(both: Sequence[Record], names: Sequence[str]) -> Section:
    tests = [{} if verdict_of(m) == "withheld" else test_of(m) for m in both]
    found = [{(plain(r.get("metric")), plain(r.get("method"))): r for r in t.get("results") or []} for t in tests]
    keys = list(dict.fromkeys([*found[0], *found[1]]))
    if not keys:
        why = "Neither study has results that may be read."
        return Section("results", "Results", "Results", "", [Line(why, "empty")])
    lines = [
        plots.Row(name, *ends, relative(rows[key]), group=" · ".join(key))
        for key in keys
        for rows, name in zip(found, names, strict=True)
        if key in rows and (ends := whole(rows[key])) is not None
    ]
    blocks: list[Block] = []
    if lines:
        told = f"Relative effects: {'; '.join(f'{x.group}, {x.label} {x.text}' for x in lines[:12])}."
        plot = plots.forest("results", lines, tick=lambda x: percent(x, sign=True), about=told)
        blocks.append(Figure("Relative effect of stylised presentations in either study", plot, told, SIDES))
    cells = [
        [key[0] + _role(found, key), key[1], *(relative(rows[key]) if key in rows else MISSING for rows in found)]
        for key in keys
    ]
    blocks.append(Table("Relative effects in numbers", ["Metric", "Method", *names], cells, "ttnn"))
    blocks += [Line(f"{n}: withheld, a check failed.", "note") for n, t in zip(names, tests, strict=True) if not t]
    about = "Two tests of different users: their difference is no experiment."
    return Section("results", "Results", "Results", about, blocks)


def _role(found: Sequence[Mapping[Any, Record]], key: Any) -> str:
    role = next(role_of(rows[key]) for rows in found if key in rows)
    return f" ({role})" if role != "other" else ""


def _health(both: Sequence[Record], names: Sequence[str]) -> Section:
    found = [{check.name: check for check in checks(metrics)} for metrics in both]
    rows: list[list[str | Cell]] = [
        [name, *(_state(side.get(name)) for side in found)] for name in dict.fromkeys([*found[0], *found[1]])
    ]
    table = Table("What was checked in either study", ["Check", *names], rows, "tww") if rows else None
    return Section("health", "Health", "Health checks", "", [table or Line("There was nothing to check.", "empty")])


def _state(check: Check | None) -> Cell:
    if check is None:
        return Cell(MISSING)
    return Cell("ok" if check.ok else "failed", check.text, role="" if check.ok else "down")


def _offline(both: Sequence[Record], names: Sequence[str]) -> Section:
    sides = [m.get("offline") or {} for m in both]
    k = [main_k(side) for side in sides]
    found = [
        {
            (model_name(r), str(r["segment"]), str(r["metric"])): r
            for r in side.get("rows") or []
            if r.get("metric") in DISPLAYED and r.get("k") in (k[i], None) and finite(r.get("value")) is not None
        }
        for i, side in enumerate(sides)
    ]
    keys = list(dict.fromkeys([*found[0], *found[1]]))
    if not keys:
        return Section("offline", "Offline", "Offline comparison", "", [Line("Neither study was evaluated.", "empty")])
    blocks: list[Block] = []
    if k[0] != k[1] and all(found):
        blocks.append(Line(f"The lists differ in length: {k[0]} and {k[1]}. Their values do not compare.", "note"))
    for segment in dict.fromkeys(key[1] for key in keys):
        rows = [_values(key, found, max(k)) for key in keys if key[1] == segment]
        columns = ["Model · features", "Metric", *names, "Difference"]
        caption = f"{plain(segment).capitalize()} items"
        blocks.append(Table(caption, columns, rows, "ttnnn", "Brackets: 95% intervals.", sortable=True))
    about = "Lists against what users chose later; comparable where data and split are the same."
    return Section("offline", "Offline", "Offline comparison", about, blocks)


def _values(key: tuple[str, str, str], found: Sequence[Mapping[Any, Record]], k: int) -> list[str | Cell]:
    rows = [side.get(key) for side in found]
    told = [MISSING if r is None else estimate(r["value"], r.get("low"), r.get("high"), sign=False) for r in rows]
    gap = None if None in rows else rows[1]["value"] - rows[0]["value"]  # type: ignore[index]
    difference = Cell(MISSING if gap is None else f"{gap:+.4f}".replace("-", "−"), order=gap)
    return [key[0], metric_name(key[2], k if key[2] != "coverage" else None), *told, difference]


def _cost(both: Sequence[Record], names: Sequence[str]) -> Section:
    found = [{plain(s.get("stage")): s for s in m.get("cost") or []} for m in both]
    stages = list(dict.fromkeys([*found[0], *found[1]]))
    if not stages:
        return Section("cost", "Cost", "Cost", "", [Line("No cost was measured.", "empty")])
    cells = [[stage, *(text for side in found for text in _stage(side.get(stage)))] for stage in stages]
    totals = [sum(finite(s.get("seconds")) or 0.0 for s in side.values()) for side in found]
    cells.append(["all", duration(totals[0]), "", "", duration(totals[1]), "", ""])
    columns = ["Stage", *(f"{name}: {what}" for name in names for what in ("time", "peak memory", "rate"))]
    about = "Wall time depends on the machine and on what else ran there."
    return Section("cost", "Cost", "Cost", about, [Table("Time, memory and rate", columns, cells, "tnnnnnn")])


def _stage(stage: Record | None) -> list[str]:
    if stage is None:
        return [MISSING] * 3
    return [duration(stage.get("seconds")), memory(stage.get("peak_memory_mb")), rate(stage)]


def _configuration(both: Sequence[Record], names: Sequence[str]) -> Section:
    studies = [m.get("study") or {} for m in both]
    blocks: list[Block] = []
    for key, caption in DIFFERING.items():
        flat = [dict(_flat(s.get(key) or {})) for s in studies]
        differing = [name for name in dict.fromkeys([*flat[0], *flat[1]]) if flat[0].get(name) != flat[1].get(name)]
        rows = [[clean(name), *(clean(side.get(name, MISSING)) for side in flat)] for name in sorted(differing)]
        if rows:
            blocks.append(Table(f"{caption}: {number(len(rows))}", ["Name", *names], rows, "tww"))
    seeds = [clean(s.get("seed")) for s in studies]
    if seeds[0] != seeds[1]:
        blocks.append(Line(f"The seeds differ: {seeds[0]} and {seeds[1]}."))
    title = "What differs in the configuration"
    return Section("configuration", "Configuration", title, "", blocks or [Line(SAME, "empty")])


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name → value as text; what a dict lacks has no name."""
    for key, value in tree.items():
        name = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and value:
            yield from _flat(value, name)
        else:
            yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
