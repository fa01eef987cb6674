"""Restyle or describe a plain folder or zip of pictures, without a study."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from recsys.data.features import FeatureBlock
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.files import atomic_write
from style.catalogue import restyle
from style.encoders.make import make_encoder
from style.features import embed
from style.imagestore import ImageStore
from style.journal import writing
from style.look import Look, builtin_looks, look_from_mapping

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def picture_names(store: ImageStore) -> list[str]:
    """The pictures of a store, by suffix.

    Raises:
        DataError: There are none.
    """
    found = sorted(n for n in store.names() if PurePosixPath(n).suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"no pictures found; looked for {', '.join(SUFFIXES)}")
    return found


def read_looks(file: Path) -> dict[str, Any]:
    """The [name] tables of a TOML file of looks."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    if "looks" in tables:
        raise ConfigError(f"{file}: in a file of looks a table is called [name]; [looks.name] belongs in a study file")
    return tables


def choose_looks(wanted: Sequence[str], file: Path | None) -> list[Look]:
    """Looks by name: built in, or from a TOML file of [name] tables (all of them when the file is given)."""
    if file is not None:
        tables = read_looks(file)
        return [look_from_mapping(name, table, file.parent) for name, table in tables.items()]
    known = builtin_looks()
    for name in wanted:
        if name not in known:
            raise ConfigError(unknown_name("look", name, known))
    return [known[name] for name in wanted]


def transfer_folder(
    images: Path,
    looks: Sequence[str],
    looks_file: Path | None,
    out: Path,
    *,
    seed: int,
    workers: int | None = None,
    batch: int = 32,
) -> list[dict[str, Any]]:
    """Restyle every picture; answers one row a look: pictures, accepted, unreadable, the commonest reason against."""
    chosen = choose_looks(looks, looks_file)
    with ImageStore.open(images) as store:
        found = picture_names(store)
        stems = [PurePosixPath(name).stem for name in found]
        ids = stems if len(set(stems)) == len(stems) else found
        place = dict(zip(ids, found, strict=True))
        made = restyle(ids, lambda item: store.read(place[item]), chosen, out, seed=seed, workers=workers, batch=batch)
    with writing(out):
        made.save(out / "presentations.parquet")
    return [_look_row(out, look.name, made.frame[made.frame["look"] == look.name]) for look in chosen]


def _look_row(out: Path, name: str, rows: pd.DataFrame) -> dict[str, Any]:
    reasons = rows.loc[~rows["accepted"], "reason"].value_counts()
    return {
        "look": name,
        "pictures": len(rows),
        "accepted": int(rows["accepted"].sum()),
        "unreadable": int(((rows["image"] == "") & rows["score_mask"].isna()).sum()),
        "commonest reason against": reasons.index[0] if len(reasons) else None,
        "in": str(out / "images" / name),
    }


def embed_folder(images: Path, encoders: Sequence[str], out: Path) -> list[dict[str, Any]]:
    """Describe every picture; writes a block per encoder and items.csv with the rows' names."""
    made = [make_encoder(name) for name in encoders]
    with ImageStore.open(images) as store:
        found = picture_names(store)
        result = embed(lambda i: store.read(found[i]), len(found), made, out / ".work")
        failed = {found[i]: reason for i, reason in result.failed.items()}
        for name, values in result.blocks.items():
            FeatureBlock(name, np.asarray(values), provenance={"encoder": name}).save(out)
    with atomic_write(out / "items.csv", "w") as file:
        pd.DataFrame({"image": found, "problem": [failed.get(n, "") for n in found]}).to_csv(file, index=False)
    return [
        {"block": n, "pictures": len(found), "dims": v.shape[1], "failed": len(failed)}
        for n, v in result.blocks.items()
    ]
