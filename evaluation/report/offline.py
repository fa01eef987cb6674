"""The offline comparison as a section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation.report.blocks import Block, Cell, Figure, Fold, Line, Pairs, Points, Section, Table
from evaluation.report.comparison import Comparison, SegmentTable, comparison
from evaluation.report.experiment import SIDES
from evaluation.report.formats import clean, number, plain, value

Record = Mapping[str, Any]
NONE = "This study was not evaluated offline."


def offline_section(offline: Record) -> Section:
    """Each model's lists against what users chose later."""
    found = comparison(offline)
    name, title = "Offline", "Offline comparison"
    if found is None:
        return Section("offline", name, title, "", [Line(NONE, "empty")])
    about = "Each model's lists against what users chose later. Intervals are 95%."
    blocks: list[Block] = []
    if found.plot:
        caption = f"Recall@{found.k}: difference from {found.baseline}, the best model without pictures"
        blocks.append(Figure(caption, found.plot, "The numbers stand in the table of differences.", SIDES))
    blocks += [segment_table(table) for table in found.tables]
    return Section("offline", name, title, about, [*blocks, *_folds(found)])


def segment_table(found: SegmentTable) -> Table:
    """Every model in one segment of the items, the best of each column marked."""
    note = f"{found.about} {f'{found.users}. ' if found.users else ''}★ best of its column."
    rows: list[list[str | Cell]] = [
        [name, *(Cell(c.value, c.interval, c.order, c.best) for c in cells)] for name, cells in found.rows
    ]
    columns = ["Model · features", *found.columns]
    return Table(
        f"{found.segment.capitalize()} items", columns, rows, "t" + "n" * len(found.columns), note.strip(), True
    )


def _folds(found: Comparison) -> list[Block]:
    denominators = Table("Denominators", ["Metric", "Denominator"], found.denominators, "tw")
    blocks: list[Block] = [Fold("What each metric divides by", [denominators])]
    if found.differences:
        columns = ["Model · features", "Items", "Metric", "Difference", "p", "Baseline"]
        table = Table("Paired bootstrap differences", columns, found.differences, "tttnnt", sortable=True)
        blocks.append(Fold(f"All {number(len(found.differences))} differences from the baseline", [table]))
    columns = ["Model · features", "Items", "Metric", "Value", "Users", "Denominator"]
    table = Table("Every metric, list length and segment", columns, found.everything, "tttnnw", sortable=True)
    blocks.append(Fold(f"All {number(len(found.everything))} values", [table]))
    if found.groups:
        columns = ["Model · features", "Group", "Metric", "Value", "Users"]
        caption = "Users by history; items by popularity, category, price and style"
        table = Table(caption, columns, found.groups, "tttnn", sortable=True)
        told = f"Whom and what the lists over all items serve: {number(len(found.groups))} values of groups"
        blocks.append(Fold(told, [table]))
    if found.beyond:
        tables: list[Block] = [
            Table(t.caption, t.columns, t.rows, "t" + "n" * (len(t.columns) - 1), t.note, sortable=True)
            for t in found.beyond
        ]
        blocks.append(Fold(f"Beyond accuracy, and with chances weighed: lists of {found.k}", tables))
    if found.split:
        pairs = [(clean(plain(k)), value(v)) for k, v in sorted(found.split.items())]
        blocks.append(Fold("How past and future were split", [Pairs(pairs)]))
    return [*blocks, Points(found.notes)] if found.notes else blocks
