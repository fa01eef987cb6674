"""Learn a brand's look from a folder or zip of reference photos, without a study."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsys.errors import ConfigError
from recsys.files import atomic_write
from study.pictures import picture_names, read_looks
from style.brand import learn
from style.images import decode
from style.imagestore import ImageStore
from style.look import builtin_tables, look_from_mapping

MOST = 40
"""References that are looked at; of more, so many evenly spaced."""


def learn_look(references: Path, name: str, out: Path, *, seed: int = 0) -> list[dict[str, Any]]:
    """Write ``[name]`` to the TOML file ``out``, after the looks that it has; answers one row that sums it up.

    Raises:
        ConfigError: The name is taken, by a built-in look or in the file.
        DataError: Fewer than 3 pictures.
        ImageError: A picture cannot be read.
    """
    if name in builtin_tables():
        raise ConfigError(f"look {name!r} is built in; choose another --name")
    before = out.read_text(encoding="utf-8") if out.exists() else ""
    if before and name in read_looks(out):
        raise ConfigError(f"{out} has a look {name!r} already; choose another --name or delete that table")
    with ImageStore.open(references) as store:
        found = picture_names(store)
        chosen = [found[i] for i in np.linspace(0, len(found) - 1, min(len(found), MOST)).astype(int)]
        table = learn([decode(store.read(picture)).pixels for picture in chosen], seed=seed)
    look_from_mapping(name, table, out.parent)  # what is written can be read
    with atomic_write(out, "w") as file:
        file.write(before + ("\n" if before else "") + look_toml(name, table))
    kinds, palettes = table["backdrop"]["kinds"], table["backdrop"]["palettes"]
    row = {"look": name, "references": len(chosen), "backdrop": ", ".join(kinds), "palettes": len(palettes)}
    return [row | {k: table["grade"][k] for k in ("warmth", "fade", "grain", "vignette")} | {"in": str(out)}]


def look_toml(name: str, table: Mapping[str, Any]) -> str:
    """A look's table as TOML that people like to edit: plain keys first, then a section for each inner table.

    Example:
        >>> print(look_toml("x", {"about": "y", "back_off": True, "backdrop": {"palettes": [["#ffffff", "#eeeeee"]]}}))
        [x]
        about = "y"
        back_off = true
        <BLANKLINE>
        [x.backdrop]
        palettes = [
          ["#ffffff", "#eeeeee"],
        ]
        <BLANKLINE>
    """
    plain = {k: v for k, v in table.items() if not isinstance(v, Mapping)}
    inner = {f"{name}.{k}": v for k, v in table.items() if isinstance(v, Mapping)}
    parts = [_section(name, plain), *(_section(*both) for both in inner.items())]
    text = "\n".join(parts)
    assert tomllib.loads(text)[name] == table
    return text


def _section(title: str, table: Mapping[str, Any]) -> str:
    return "\n".join([f"[{title}]", *(f"{k} = {_value(v)}" for k, v in table.items())]) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and value and isinstance(value[0], list):
        return "\n".join(["[", *(f"  {_value(v)}," for v in value), "]"])
    return json.dumps(value, ensure_ascii=False)  # texts, numbers, lists and booleans are the same in TOML
