"""Health first: the checks, then what was read and what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluation.report.blocks import Block, Cell, Checks, Facts, Fold, Line, Section, Table
from evaluation.report.checks import checks
from evaluation.report.formats import clean, estimate, finite, interval, number, part, plain
from evaluation.report.gallery import SCORES, in_words

Record = Mapping[str, Any]
ABOUT_SCORES = (
    "Scores: median [5th, 95th percentile]. Structure, edges and meaning: 1 is unchanged. "
    "Colour ΔE inside the product: 0 is unchanged."
)
NO_DATA = "This study carries no account of its data."
NO_LOOKS = "This study has no looks, so the guard had nothing to judge."


def health(metrics: Record) -> Section:
    """What must hold before the effects are read, and what nothing is dropped of in silence."""
    data: Record = metrics.get("data") or {}
    looks: Sequence[Record] = metrics.get("looks") or []
    found = checks(metrics)
    blocks: list[Block] = [Checks(found)] if found else [Line("There was nothing to check.", "empty")]
    blocks += list(_data(data)) if data else [Line(NO_DATA, "empty")]
    blocks.append(_guard(looks) if looks else Line(NO_LOOKS, "empty"))
    about = "What must hold before an effect is read, what was read, what was refused and why."
    return Section("health", "Health", "Health checks and data", about, blocks)


def _data(data: Record) -> Iterator[Block]:
    yield Facts(list(_facts(data)))
    rejected: Sequence[Record] = data.get("rejected") or []
    if rejected:
        keys = ("source", "reason", "count", "example")
        cells = [[number(r.get(k)) if k == "count" else clean(r.get(k) or "") for k in keys] for r in rejected]
        yield Table("Rejected rows", ["Source", "Reason", "Rows", "Example"], cells, "twnw")
    else:
        yield Line("No row was rejected.", "empty")
    if problems := data.get("image_problems") or []:
        noun = "photo" if len(problems) == 1 else "photos"
        cells = [[clean(p.get("item_id")), clean(p.get("reason"))] for p in problems]
        table = Table("Unusable photos", ["Item", "Reason"], cells, "tw")
        yield Fold(f"{len(problems)} {noun} that cannot be used", [table])


def _facts(data: Record) -> Iterator[tuple[str, str]]:
    for key in ("items", "users", "interactions"):
        if key in data:
            yield key.capitalize(), number(data[key])
    if data.get("first") or data.get("last"):
        yield "Period", f"{clean(data.get('first'))} to {clean(data.get('last'))}"
    left_out: Record = data.get("filtered") or {}
    if left_out:
        yield "Left out by choice", ", ".join(f"{number(count)} {clean(what)}" for what, count in left_out.items())
    if data:
        rows = [
            r for r in data.get("rejected") or [] if r.get("source") != "images"
        ]  # photos have a count of their own
        count = sum(finite(r.get("count")) or 0 for r in rows)
        yield "Rejected", f"{number(count)} {'row' if count == 1 else 'rows'}"
    images: Record = data.get("images") or {}
    words = {"ok": "ok", "note": "usable with a note", "bad": "bad"}
    if images:
        yield "Photos", ", ".join(f"{number(images[k])} {word}" for k, word in words.items() if k in images)


def _guard(looks: Sequence[Record]) -> Table:
    columns = ["Look", "Made", "Accepted", "Share", *SCORES.values(), "Rejected because"]
    kinds = "tnnn" + "n" * len(SCORES) + "w"
    return Table("What the guard let through", columns, [_look(x) for x in looks], kinds, ABOUT_SCORES)


def _look(look: Record) -> list[str | Cell]:
    scores: Record = look.get("scores") or {}
    reasons = sorted((look.get("reasons") or {}).items(), key=lambda pair: -(finite(pair[1]) or 0))
    told = "; ".join(f"{in_words(reason)} ({number(count)})" for reason, count in reasons) or "none rejected"
    accepted, made = look.get("accepted"), look.get("made")
    counts = [plain(look.get("look")), number(made), number(accepted), part(accepted, made)]
    return [*counts, *(_spread(scores.get(key)) for key in SCORES), told]


def _spread(score: Record | None) -> Cell:
    if not score:
        return Cell("–")
    text = estimate(score.get("median"), score.get("p05"), score.get("p95"), sign=False)
    return Cell(text.partition(" [")[0], interval(score.get("p05"), score.get("p95")))
