"""Health first: what must hold before an effect may be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evaluation.report.blocks import Check
from evaluation.report.formats import clean, finite, number, p_value, part, percent, plain

Record = Mapping[str, Any]
MOST_WITHOUT_PHOTO = 0.2
"""Share of the items that may lack a usable photo: those cannot be shown in a look."""
LEAST_ACCEPTED = 0.5
"""Share of the restyled pictures that the guard must let through: else most shoppers see originals in both arms."""
PAST = "balance of pre_"


def test_of(metrics: Record) -> Record:
    """The test that the report decides on: a real one where one was read, else the rehearsal."""
    found: Record = metrics.get("experiment") or metrics.get("ab") or {}
    return found


test_of.__test__ = False  # type: ignore[attr-defined]  # pytest takes names that begin so for tests


def checks(metrics: Record) -> list[Check]:
    """Every check that the metrics allow; of the test first, of the pictures after.

    Example:
        >>> photos = {"data": {"items": 10, "images": {"ok": 7, "note": 0, "bad": 3}}}
        >>> [(check.name, check.ok) for check in checks(photos)]
        [('Photos', False)]
    """
    return [*_of_test(test_of(metrics)), *_of_pictures(metrics)]


def failing(metrics: Record) -> list[Check]:
    """The checks that withhold the verdict."""
    return [check for check in checks(metrics) if check.ok is False]


def srm_line(ab: Record) -> tuple[str, bool | None]:
    """Sample-ratio mismatch in a sentence, and whether the split is as planned (None: not checked)."""
    srm = ab.get("srm") or {}
    if not srm:
        return "", None
    counts = " and ".join(number(c) for c in srm.get("counts") or [])
    p = p_value(srm.get("p_value"))
    planned = finite((ab.get("design") or {}).get("allocation"))
    share = "" if planned is None else f"; {percent(planned)} in the second were planned"
    return f"{counts} users in the arms (p {p if p.startswith('<') else f'= {p}'}{share})", bool(srm.get("ok"))


def _of_test(ab: Record) -> Iterator[Check]:
    text, ok = srm_line(ab)
    if text:
        warning = "" if ok else ". The split is not as planned, so the arms cannot be compared"
        yield Check("Sample ratio", ok, f"{text}{warning}.")
    past = []
    for row in ab.get("checks") or []:
        name, problem = str(row.get("name")), clean(row.get("problem") or "")
        p = "" if finite(row.get("p_value")) is None else f"p {_equals(p_value(row['p_value']))}"
        if name.startswith(PAST) and not problem:
            past.append(f"{plain(name.removeprefix(PAST))} {p}")
        elif name != "sample ratio" or not text:
            yield Check(_named(name), not problem, f"{_sentence(problem or p or 'nothing missing')}.")
    if past:
        yield Check("Arms alike before the test", True, f"{_sentence(', '.join(past))}.")
    known = {clean(row.get("problem") or "") for row in ab.get("checks") or []}
    for problem in map(clean, ab.get("problems") or []):
        if problem not in known:
            yield Check("Log", False, f"{_sentence(problem)}.")


def _of_pictures(metrics: Record) -> Iterator[Check]:
    data: Record = metrics.get("data") or {}
    images: Record = data.get("images") or {}
    items, bad = finite(data.get("items")), finite(images.get("bad"))
    if items and bad is not None:
        ok = bad <= MOST_WITHOUT_PHOTO * items
        text = f"{number(bad)} of {number(items)} items ({part(bad, items)}) have no usable photo"
        yield Check("Photos", ok, f"{text}; at most {percent(MOST_WITHOUT_PHOTO)} may.")
    looks = [(finite(x.get("accepted")), finite(x.get("made"))) for x in metrics.get("looks") or []]
    pairs = [(a, m) for a, m in looks if a is not None and m]
    if pairs:
        accepted, made = sum(a for a, _ in pairs), sum(m for _, m in pairs)
        text = f"{number(accepted)} of {number(made)} restyled pictures ({part(accepted, made)}) passed the guard"
        ok = accepted >= LEAST_ACCEPTED * made
        yield Check("Guard", ok, f"{text}; at least {percent(LEAST_ACCEPTED)} must.")


def _named(name: str) -> str:
    if name.startswith(PAST):
        return f"Arms alike before the test: {plain(name.removeprefix(PAST))}"
    return _sentence(plain(name))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _equals(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"
