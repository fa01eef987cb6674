"""Pictures: each original beside its looks, and what some users would be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.report.blocks import Fold, Gallery, Item, Line, People, Person, Section, Tile
from evaluation.report.formats import clean, finite, number, plain
from evaluation.report.thumbs import Key, Thumb

Record = Mapping[str, Any]
Thumbs = Mapping[Key, Thumb]
ORIGINAL = "original"
OPEN = 6
"""Items of the gallery that are seen at once."""
SCORES = {
    "ssim": "structure",
    "edge": "edges",
    "cosine": "meaning",
    "product_delta_e": "colour ΔE",
}


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


def gallery(metrics: Record, thumbs: Thumbs) -> Section:
    """Items, each in its original and every look."""
    items = [_item(x, thumbs) for x in metrics.get("gallery") or []]
    if not items:
        why = "This study has no stylised presentations to show."
        return Section("gallery", "Gallery", "Gallery", "", [Line(why, "empty")])
    about = (
        "Each original beside its looks. The guard rejects what is no longer the product on sale; shoppers then see "
        "the original. A click on a picture enlarges it."
    )
    blocks: list[Any] = [Gallery(items[:OPEN])]
    if rest := items[OPEN:]:
        blocks.append(Fold(f"{len(rest)} more {'item' if len(rest) == 1 else 'items'}", [Gallery(rest)]))
    return Section("gallery", "Gallery", "Gallery", about, blocks)


def people(metrics: Record, thumbs: Thumbs) -> Section:
    """What some users chose, what they would be shown, and why."""
    found = [_person(x, thumbs) for x in metrics.get("people") or []]
    if not found:
        why = "This study shows no user's recommendations."
        return Section("people", "Recommendations", "Recommendations", "", [Line(why, "empty")])
    about = "Some users: what they chose last, what they would be shown next and in which look, and why."
    return Section("people", "Recommendations", "Recommendations", about, [People(found)])


def in_words(reason: object) -> str:
    """A reason of the guard as people read it."""
    return clean(reason or "no reason given").replace("product_delta_e", SCORES["product_delta_e"])


def _item(item: Record, thumbs: Thumbs) -> Item:
    item_id, title = item["item_id"], clean(item.get("title") or item["item_id"])
    original = Tile(thumbs.get((item_id, ORIGINAL)), f"{title}, original photo", ORIGINAL)
    return Item(
        title=title,
        item_id=clean(item_id),
        category=clean(item.get("category") or ""),
        tiles=[original, *(_look_tile(item_id, title, x, thumbs) for x in item.get("looks") or [])],
    )


def _look_tile(item_id: str, title: str, look: Record, thumbs: Thumbs) -> Tile:
    rejected = not look.get("accepted", True)
    scores: Record = look.get("scores") or {}
    name = plain(look["look"])
    taken = [("strength", _short(look["strength"]))] if "strength" in look else []
    return Tile(
        thumb=thumbs.get((item_id, look["look"])),
        alt=f"{title}, {name}{', rejected by the guard' if rejected else ''}",
        label=name,
        note=in_words(look.get("reason")) if rejected else "",
        scores=(*((word, _short(scores[key])) for key, word in SCORES.items() if key in scores), *taken),
        rejected=rejected,
    )


def _short(score: Any) -> str:
    x = finite(score)
    return "–" if x is None else f"{x:.2f}".replace("-", "−")


def _look_of(entry: Record) -> str:
    return str(entry.get("presentation") or ORIGINAL)


def _person(person: Record, thumbs: Thumbs) -> Person:
    return Person(
        user_id=clean(person.get("user_id")),
        history=[_entry(x, ORIGINAL, "", thumbs) for x in person.get("history") or []],
        shown=[_entry(x, _look_of(x), plain(_look_of(x)), thumbs) for x in person.get("recommendations") or []],
    )


def _entry(entry: Record, look: str, label: str, thumbs: Thumbs) -> Tile:
    title = clean(entry.get("title") or entry["item_id"])
    reasons = [clean(entry[key]) for key in ("why", "reason") if entry.get(key)]
    return Tile(
        thumb=thumbs.get((entry["item_id"], look)),
        alt=f"{title}, {plain(look)}" if label else title,
        label=label,
        title=title,
        note=number(entry.get("rank")) if entry.get("rank") is not None else "",
        cold=bool(entry.get("cold")),
        why=" ".join(_sentence(r) for r in reasons),
    )


def _sentence(text: str) -> str:
    told = text.strip()
    return told[:1].upper() + told[1:] + ("" if told.endswith((".", "!", "?")) else ".")
