"""Tables for the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from recsys.errors import ConfigError, MissingExtraError
from recsys.registry import component, create, names
from style.look import builtin_looks


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as an aligned text table.

    Example:
        >>> print(table([{"model": "als", "recall": 0.03254}, {"model": "hybrid", "recall": 0.04}]))
        model   recall
        als     0.0325
        hybrid  0.0400
    """
    if not rows:
        return "nothing to show"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([_cell(row.get(c)) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [all(isinstance(row.get(c), int | float | None) for row in rows) for c in columns]
    return "\n".join(
        "  ".join(v.rjust(w) if n else v.ljust(w) for v, w, n in zip(line, widths, numeric, strict=True)).rstrip()
        for line in cells
    )


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and 0 < abs(value) < 0.00005:
        return f"{value:.1e}"
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value).replace("\n", " ")


def style_rows(*, commercial: bool = False, offline: bool = False) -> list[dict[str, Any]]:
    """Stylizers, looks and encoders with what a user must know of each."""
    rows = [_stylizer_row(name) for name in names("stylizers")]
    rows = [r for r in rows if (r["commercial"] or not commercial) and (r["offline"] or not offline)]
    for look in builtin_looks().values():
        rows.append(
            {
                "name": look.name,
                "kind": "look",
                "needs": "–",
                "offline": True,
                "commercial": True,
                "about": look.about,
            }
        )
    return [*rows, *(_encoder_row(name) for name in names("encoders"))]


def _encoder_row(name: str) -> dict[str, Any]:
    """What an encoder says of itself; one of another package may say nothing."""
    encoder = component("encoders", name)
    about = {key: getattr(encoder, key, "–") for key in ("extra", "weights_licence", "about")}
    needs = f"extra {about['extra']}" if about["extra"] not in ("", "–") else "–"
    row = {"name": name, "kind": "encoder", "needs": needs, "offline": True, "deterministic": True}
    return row | {"weights_licence": about["weights_licence"], "commercial": True, "about": about["about"]}


def _stylizer_row(name: str) -> dict[str, Any]:
    spec = dataclasses.asdict(component("stylizers", name).spec)
    try:
        create("stylizers", name)
    except ConfigError:  # it wants options, so it is there
        pass
    except MissingExtraError as error:
        return {
            "name": name,
            "kind": "not installed",
            "offline": True,
            "commercial": False,
            "about": str(error),
        }
    spec["needs"] = ", ".join(spec["needs"]) or "–"
    keys = (
        "name",
        "kind",
        "needs",
        "offline",
        "deterministic",
        "code_licence",
        "weights_licence",
        "commercial",
        "about",
    )
    return {key: spec[key] if spec[key] != "" else "–" for key in keys}
