"""What the study cost, and how to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from evaluation.report import plots
from evaluation.report.blocks import Block, Code, Facts, Figure, Fold, Line, Pairs, Section, Table
from evaluation.report.formats import clean, duration, finite, memory, number, plain, value

Record = Mapping[str, Any]


def cost(stages: Sequence[Record], blocks: Sequence[Record]) -> Section:
    """Seconds, memory and rate of each stage; the feature blocks."""
    if not stages and not blocks:
        return Section("cost", "Cost", "Cost", "", [Line("No cost was measured.", "empty")])
    found: list[Block] = []
    if stages:
        seconds = [finite(s.get("seconds")) or 0.0 for s in stages]
        peaks = [x for s in stages if (x := finite(s.get("peak_memory_mb"))) is not None]
        found.append(
            Facts([("Time in all", duration(sum(seconds))), ("Memory at most", memory(max(peaks, default=None)))])
        )
        plot, told = _bars(stages)
        if plot:
            found.append(Figure("Time per stage", plot, told))
        columns = ["Stage", "Time", "Peak memory", "Work", "Rate"]
        found.append(Table("Stages", columns, [_stage(s) for s in stages], "tnnnn"))
    if blocks:
        cells = [[clean(b.get("block")), number(b.get("dims")), value(b.get("encoder"))] for b in blocks]
        found.append(
            Fold("Feature blocks", [Table("Feature blocks", ["Block", "Dimensions", "Encoder"], cells, "tnt")])
        )
    about = "Wall time, peak memory and rate of each stage, on the machine that ran it."
    return Section("cost", "Cost", "Cost", about, found)


def reproducibility(study: Record) -> Section:
    """Seed, versions, hashes and command."""
    pairs = [("Created", study["created"])] if study.get("created") else []
    pairs += [("Seed", study.get("seed")), ("Command", study.get("command"))]
    pairs += list((study.get("versions") or {}).items())
    pairs += [(f"Hash of {clean(name)}", text) for name, text in (study.get("hashes") or {}).items()]
    blocks: list[Block] = [Pairs([(clean(name), clean(text)) for name, text in pairs])]
    if config := study.get("config"):
        text = clean(json.dumps(config, indent=1, ensure_ascii=False, default=str))
        blocks.append(Fold("Configuration", [Code(text)]))
    about = "Same seed, data and versions: same numbers."
    return Section("again", "Reproduce", "Reproducibility", about, blocks)


def rate(stage: Record) -> str:
    """Work a second, such as images/s.

    Example:
        >>> rate({"seconds": 4.0, "work": 100, "unit": "images"}), rate({"seconds": 4.0})
        ('25 images/s', '–')
    """
    seconds, work = finite(stage.get("seconds")), finite(stage.get("work"))
    unit = plain(stage.get("unit") or "")
    return f"{number(float(f'{work / seconds:.3g}'))} {unit}/s" if seconds and work else "–"


def _bars(stages: Sequence[Record]) -> tuple[Markup, str]:
    size, unit = (60, "min") if max((finite(s.get("seconds")) or 0 for s in stages), default=0) > 150 else (1, "s")
    rows = [
        plots.Row(plain(s.get("stage")), x / size, 0, 0, duration(x) + (" (reused)" if s.get("reused") else ""))
        for s in stages
        if (x := finite(s.get("seconds"))) is not None
    ]
    if not rows:
        return Markup(""), ""
    about = "Time per stage: " + "; ".join(f"{r.label} {r.text}" for r in rows) + "."
    return plots.bars("cost", rows, tick=lambda x: f"{x:g} {unit}" if x else "0", about=about), about


def _stage(stage: Record) -> list[str]:
    seconds, work = finite(stage.get("seconds")), finite(stage.get("work"))
    unit = plain(stage.get("unit") or "")
    done = f"{number(work)} {unit}".strip() if work is not None else "–"
    name = plain(stage.get("stage")) + (" (reused)" if stage.get("reused") else "")
    return [name, duration(seconds), memory(stage.get("peak_memory_mb")), done, rate(stage)]
