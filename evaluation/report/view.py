"""From the metrics to what each section of the page shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evaluation.report import plots
from evaluation.report.comparison import Comparison, comparison
from evaluation.report.experiment import Decision, Experiment, decision, experiment
from evaluation.report.formats import (
    clean,
    duration,
    estimate,
    finite,
    interval,
    memory,
    number,
    part,
    plain,
    value,
)
from evaluation.report.summary import Summary, summary
from evaluation.report.thumbs import Key, Thumb

Record = Mapping[str, Any]
ORIGINAL = "original"
SCORES = {
    "ssim": "structure",
    "edge": "edges",
    "cosine": "meaning",
    "product_delta_e": "colour ΔE",
}


@dataclass(frozen=True)
class Tile:
    """One picture with its captions."""

    thumb: Thumb | None
    alt: str
    label: str
    title: str = ""
    note: str = ""
    scores: tuple[tuple[str, str], ...] = ()
    rejected: bool = False
    cold: bool = False


@dataclass(frozen=True)
class Item:
    """An item of the gallery: its original beside each look."""

    title: str
    item_id: str
    category: str
    tiles: list[Tile]


@dataclass(frozen=True)
class Person:
    """A user: what they chose and what they would be shown."""

    user_id: str
    history: list[Tile]
    shown: list[Tile]


@dataclass(frozen=True)
class LookRow:
    """What the guard said of one look."""

    look: str
    made: str
    accepted: str
    share: str
    reasons: str
    scores: list[tuple[str, str]]


@dataclass(frozen=True)
class Health:
    """What was read and what was refused."""

    facts: list[tuple[str, str]]
    rejected: list[list[str]]
    image_problems: list[list[str]]
    looks: list[LookRow]


@dataclass(frozen=True)
class Cost:
    """What the study cost."""

    plot: Markup
    rows: list[list[str]]
    total: str
    peak: str
    blocks: list[list[str]]


@dataclass(frozen=True)
class Provenance:
    """How to make the same study again."""

    name: str
    created: str
    seed: str
    command: str
    versions: list[tuple[str, str]]
    hashes: list[tuple[str, str]]
    config: str


@dataclass(frozen=True)
class Report:
    """The whole page."""

    study: Provenance
    summary: Summary
    decision: Decision | None
    health: Health | None
    gallery: list[Item]
    offline: Comparison | None
    ab: Experiment | None
    people: list[Person]
    cost: Cost | None
    thumbs: list[Thumb]
    ratio: str


def pictures(metrics: Record) -> Iterator[Key]:
    """Every (item, look) the page shows, in its order; repeated where it is shown again."""
    for item in metrics.get("gallery") or []:
        yield item["item_id"], ORIGINAL
        for look in item.get("looks") or []:
            yield item["item_id"], look["look"]
    for person in metrics.get("people") or []:
        for entry in person.get("history") or []:
            yield entry["item_id"], ORIGINAL
        for entry in person.get("recommendations") or []:
            yield entry["item_id"], _look_of(entry)


def build(metrics: Record, thumbs: Mapping[Key, Thumb]) -> Report:
    """The page's content.

    Args:
        metrics: ``metrics.json`` as a mapping; any section may be absent or empty.
        thumbs: The pictures of :func:`pictures` that exist.
    """
    ab: Record = metrics.get("ab") or {}
    return Report(
        study=_provenance(metrics.get("study") or {}),
        summary=summary(metrics),
        decision=decision(ab),
        health=_health(metrics),
        gallery=[_item(x, thumbs) for x in metrics.get("gallery") or []],
        offline=comparison(metrics.get("offline") or {}),
        ab=experiment(ab),
        people=[_person(x, thumbs) for x in metrics.get("people") or []],
        cost=_cost(metrics.get("cost") or [], metrics.get("features") or []),
        thumbs=list({t.id: t for t in thumbs.values()}.values()),
        ratio=_ratio(list(thumbs.values())),
    )


def _ratio(thumbs: Sequence[Thumb]) -> str:
    """Width over height of the pictures' frame: that of the middle picture, within reason."""
    shapes = sorted(t.width / t.height for t in thumbs)
    middle = shapes[len(shapes) // 2] if shapes else 0.75
    return f"{min(max(middle, 0.6), 1.34):.3f}"


def _provenance(study: Record) -> Provenance:
    def pairs(key: str) -> list[tuple[str, str]]:
        return [(clean(k), clean(v)) for k, v in (study.get(key) or {}).items()]

    config = study.get("config")
    return Provenance(
        name=clean(study.get("name") or "Study"),
        created=clean(study["created"]) if study.get("created") else "",
        seed=clean(study.get("seed")),
        command=clean(study.get("command")),
        versions=pairs("versions"),
        hashes=pairs("hashes"),
        config=clean(json.dumps(config, indent=1, ensure_ascii=False, default=str)) if config else "",
    )


def _health(metrics: Record) -> Health | None:
    data: Record = metrics.get("data") or {}
    looks: Sequence[Record] = metrics.get("looks") or []
    if not data and not looks:
        return None
    return Health(
        facts=list(_facts(data)),
        rejected=[
            [
                clean(r.get("source")),
                clean(r.get("reason")),
                number(r.get("count")),
                clean(r.get("example") or ""),
            ]
            for r in data.get("rejected") or []
        ],
        image_problems=[[clean(p.get("item_id")), clean(p.get("reason"))] for p in data.get("image_problems") or []],
        looks=[_look(x) for x in looks],
    )


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
        yield "Rejected", f"{number(sum(finite(r.get('count')) or 0 for r in rows))} rows"
    images: Record = data.get("images") or {}
    words = {"ok": "ok", "note": "usable with a note", "bad": "bad"}
    if images:
        yield "Photos", ", ".join(f"{number(images[k])} {word}" for k, word in words.items() if k in images)


def _look(look: Record) -> LookRow:
    scores: Record = look.get("scores") or {}
    reasons = sorted((look.get("reasons") or {}).items(), key=lambda pair: -pair[1])
    return LookRow(
        look=plain(look.get("look")),
        made=number(look.get("made")),
        accepted=number(look.get("accepted")),
        share=part(look.get("accepted"), look.get("made")),
        reasons="; ".join(f"{_in_words(reason)} ({number(count)})" for reason, count in reasons) or "none rejected",
        scores=[_spread(scores.get(key)) for key in SCORES],
    )


def _spread(score: Record | None) -> tuple[str, str]:
    if not score:
        return "–", ""
    text = estimate(score.get("median"), score.get("p05"), score.get("p95"), sign=False)
    return text.partition(" [")[0], interval(score.get("p05"), score.get("p95"))


def _item(item: Record, thumbs: Mapping[Key, Thumb]) -> Item:
    item_id, title = item["item_id"], clean(item.get("title") or item["item_id"])
    original = Tile(thumbs.get((item_id, ORIGINAL)), f"{title}, original photo", ORIGINAL)
    return Item(
        title=title,
        item_id=clean(item_id),
        category=clean(item.get("category") or ""),
        tiles=[original, *(_look_tile(item_id, title, x, thumbs) for x in item.get("looks") or [])],
    )


def _look_tile(item_id: str, title: str, look: Record, thumbs: Mapping[Key, Thumb]) -> Tile:
    rejected = not look.get("accepted", True)
    scores: Record = look.get("scores") or {}
    name = plain(look["look"])
    taken = [("strength", _short(look["strength"]))] if "strength" in look else []
    return Tile(
        thumb=thumbs.get((item_id, look["look"])),
        alt=f"{title}, {name}{', rejected by the guard' if rejected else ''}",
        label=name,
        note=_in_words(look.get("reason")) if rejected else "",
        scores=(*((word, _short(scores[key])) for key, word in SCORES.items() if key in scores), *taken),
        rejected=rejected,
    )


def _in_words(reason: object) -> str:
    return clean(reason or "no reason given").replace("product_delta_e", SCORES["product_delta_e"])


def _short(score: Any) -> str:
    x = finite(score)
    return "–" if x is None else f"{x:.2f}".replace("-", "−")


def _look_of(entry: Record) -> str:
    return str(entry.get("presentation") or ORIGINAL)


def _person(person: Record, thumbs: Mapping[Key, Thumb]) -> Person:
    return Person(
        user_id=clean(person.get("user_id")),
        history=[_entry(x, ORIGINAL, "", thumbs) for x in person.get("history") or []],
        shown=[_entry(x, _look_of(x), plain(_look_of(x)), thumbs) for x in person.get("recommendations") or []],
    )


def _entry(entry: Record, look: str, label: str, thumbs: Mapping[Key, Thumb]) -> Tile:
    title = clean(entry.get("title") or entry["item_id"])
    return Tile(
        thumb=thumbs.get((entry["item_id"], look)),
        alt=f"{title}, {plain(look)}" if label else title,
        label=label,
        title=title,
        note=number(entry.get("rank")) if entry.get("rank") is not None else "",
        cold=bool(entry.get("cold")),
    )


def _cost(stages: Sequence[Record], blocks: Sequence[Record]) -> Cost | None:
    if not stages and not blocks:
        return None
    seconds = [finite(s.get("seconds")) or 0.0 for s in stages]
    peaks = [finite(s.get("peak_memory_mb")) for s in stages]
    return Cost(
        plot=_bars(stages),
        rows=[_stage(s) for s in stages],
        total=duration(sum(seconds)),
        peak=memory(max((p for p in peaks if p is not None), default=None)),
        blocks=[[clean(b.get("block")), number(b.get("dims")), value(b.get("encoder"))] for b in blocks],
    )


def _bars(stages: Sequence[Record]) -> Markup:
    size, unit = (60, "min") if max((finite(s.get("seconds")) or 0 for s in stages), default=0) > 150 else (1, "s")
    rows = [
        plots.Row(plain(s.get("stage")), x / size, 0, 0, duration(x) + (" (reused)" if s.get("reused") else ""))
        for s in stages
        if (x := finite(s.get("seconds"))) is not None
    ]
    if not rows:
        return Markup("")
    about = "Seconds per stage: " + "; ".join(f"{r.label} {r.text}" for r in rows) + "."
    return plots.bars("cost", rows, tick=lambda x: f"{x:g} {unit}" if x else "0", about=about)


def _stage(stage: Record) -> list[str]:
    seconds, work = finite(stage.get("seconds")), finite(stage.get("work"))
    unit = plain(stage.get("unit") or "")
    rate = f"{number(float(f'{work / seconds:.3g}'))} {unit}/s" if seconds and work else "–"
    done = f"{number(work)} {unit}".strip() if work is not None else "–"
    name = plain(stage.get("stage")) + (" (reused)" if stage.get("reused") else "")
    return [name, duration(seconds), memory(stage.get("peak_memory_mb")), done, rate]
