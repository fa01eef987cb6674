"""`stylerec style creatives`: items of each segment in a look, in the formats of the placements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from recsys.data.catalog import Catalog
from recsys.errors import ConfigError, DataError, ImageError
from recsys.files import atomic_write, safe_name, write_bytes
from recsys.progress import progress
from study.pictures import choose_looks, picture_names
from style.base import Images
from style.creatives import Creative, creative, format_named
from style.images import decode, encode_jpeg
from style.imagestore import ImageStore
from style.look import Look

ALL = "all"
COLUMNS = ("segment", "item_id", "look", "format", "image", "accepted", "reason", "left", "top", "right", "bottom")
THUMB = 240


def make_creatives(
    catalog: Path,
    images: Path | None,
    looks: Sequence[str],
    looks_file: Path | None,
    formats: Sequence[str],
    out: Path,
    *,
    segment: str = "",
    per_segment: int = 4,
    title: str = "",
    columns: Sequence[str] = (),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Render creatives below ``out``: ``<segment>/<format>/<item>.jpg``, creatives.csv and sheet.jpg.

    Args:
        catalog: A table of items, or just a folder or zip of pictures.
        images: Where the table's pictures lie.
        looks: ``LOOK`` for every segment, or ``SEGMENT=LOOK`` for one.
        looks_file: A file of looks of your own.
        formats: Of the placements.
        out: The folder.
        segment: Column whose values are the segments; "" takes all items as one.
        per_segment: Items of each, the first in the catalogue's order that work.
        title: Column whose text is laid on the creatives; "" lays none.
        columns: ``OURS=THEIRS`` names of the table's columns.
        seed: Of grain and scenery.

    Raises:
        ConfigError: An unknown look, format or column.
        DataError: Not one creative could be made.
    """
    placements = {name: format_named(name) for name in dict.fromkeys(formats)}
    frame, store = _items(catalog, images, columns)
    for column in filter(None, (segment, title)):
        if column not in frame:
            raise ConfigError(f"no column {column!r} in {catalog}; it has {', '.join(frame.columns)}")
    groups = dict(list(frame.groupby(frame[segment].astype(str), sort=True))) if segment else {ALL: frame}
    chosen = _look_of(groups, looks, looks_file)
    rows, shown = [], dict[str, list[Images]]()
    with store, progress("creatives", len(groups)) as advance:
        for name, items in groups.items():
            made = _segment(items, store, chosen[name], placements, per_segment, title, seed)
            for item, kind, one in made:
                path = f"{safe_name(name)}/{kind.replace(':', 'x')}/{safe_name(item)}.jpg" if one.data else ""
                if path:
                    write_bytes(out / path, one.data)
                if path and not one.reason:
                    shown.setdefault(f"{name}: {chosen[name].name}", []).append(decode(one.data).pixels)
                told = (name, item, chosen[name].name, kind, path, bool(path and not one.reason), one.reason, *one.box)
                rows.append(dict(zip(COLUMNS, told, strict=True)) | {"enlarged": one.enlarged})
            advance()
    table = pd.DataFrame(rows)
    if not len(table) or not table["accepted"].any():
        raise DataError(f"not one creative of {len(frame)} items could be made{_commonest(table)}")
    with atomic_write(out / "creatives.csv", "w") as file:
        table.to_csv(file, index=False)
    write_bytes(out / "sheet.jpg", _sheet(shown))
    return [_told(str(name), chosen[str(name)].name, part) for name, part in table.groupby("segment", sort=True)]


def _told(segment: str, look: str, part: pd.DataFrame) -> dict[str, Any]:
    refused = part[~part["accepted"]]
    reason = refused["reason"].mode().iloc[0] if len(refused) else None
    row = {"segment": segment, "look": look, "creatives": int(part["accepted"].sum()), "refused": len(refused)}
    return row | {"commonest reason": reason}


def _items(catalog: Path, images: Path | None, columns: Sequence[str]) -> tuple[pd.DataFrame, ImageStore]:
    if images is None:
        store = ImageStore.open(catalog)
        names = picture_names(store)
        return pd.DataFrame({"item_id": [PurePosixPath(n).stem for n in names], "image": names}), store
    pairs = dict(pair.partition("=")[::2] for pair in columns)
    if not all(pairs) or not all(pairs.values()):
        raise ConfigError(f"columns are OURS=THEIRS, got {', '.join(columns)}")
    return Catalog.read(catalog, columns=pairs).frame, ImageStore.open(images)


def _look_of(groups: Mapping[str, Any], looks: Sequence[str], file: Path | None) -> dict[str, Look]:
    """The look of each segment."""
    own = {look.name: look for look in choose_looks((), file)} if file else {}
    found: dict[str, Look] = {}
    plain = [text for text in looks if "=" not in text]
    if len(plain) > 1:
        raise ConfigError(f"one look is for all segments, got {', '.join(plain)}; write SEGMENT=LOOK for the others")
    for text in plain:
        found = dict.fromkeys(groups, own.get(text) or choose_looks((text,), None)[0])
    for text in looks:
        name, equals, look = text.partition("=")
        if equals and name not in groups:
            raise ConfigError(f"no segment {name!r}; there are {', '.join(groups)}")
        if equals:
            found[name] = own.get(look) or choose_looks((look,), None)[0]
    missing = [name for name in groups if name not in found]
    if missing:
        raise ConfigError(f"no look for segment {missing[0]!r}; add --look LOOK for all, or --look '{missing[0]}=LOOK'")
    return found


def _segment(
    items: pd.DataFrame,
    store: ImageStore,
    look: Look,
    formats: Mapping[str, Any],
    count: int,
    title: str,
    seed: int,
) -> list[tuple[str, str, Creative]]:
    """Item, format and creative, until ``count`` items have all their formats; refused ones are told, too."""
    found: list[tuple[str, str, Creative]] = []
    good = 0
    for row in items.to_dict("records"):
        item = str(row["item_id"])
        try:
            photo = decode(store.read(str(row["image"]))).pixels
        except ImageError as error:
            found += [(item, kind, Creative(reason=str(error))) for kind in formats]
            continue
        cut = look.masks.cut(photo[None], [item])
        text = str(row[title]) if title else ""
        made = [
            (item, kind, creative(photo, cut, look, how, item, title=text, seed=seed)) for kind, how in formats.items()
        ]
        found += made
        good += all(not one.reason for *_, one in made)
        if good >= count:
            break
    return found


def _commonest(table: pd.DataFrame) -> str:
    return f"; the commonest reason: {table['reason'].mode().iloc[0]}" if len(table) else ""


def _sheet(shown: Mapping[str, Sequence[Images]]) -> bytes:
    """A row a segment, its first twelve creatives side by side."""
    rows = []
    for name, pictures in shown.items():
        small = [
            Image.fromarray(p).resize((max(1, round(p.shape[1] * THUMB / p.shape[0])), THUMB)) for p in pictures[:12]
        ]
        rows.append((name, small))
    width = max(sum(i.width + 6 for i in small) for _, small in rows) + 6
    sheet = Image.new("RGB", (width, len(rows) * (THUMB + 30)), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for r, (name, small) in enumerate(rows):
        pen.text((6, r * (THUMB + 30) + 6), name, fill=(0, 0, 0), font=ImageFont.load_default(15))
        left = 6
        for one in small:
            sheet.paste(one, (left, r * (THUMB + 30) + 28))
            left += one.width + 6
    return encode_jpeg(np.asarray(sheet))
