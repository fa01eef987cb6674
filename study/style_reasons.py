"""Why a classifier names a photo's style: shares in words, where it is seen, and the nearest known photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from recsys.data.ids import IdMap
from recsys.errors import ConfigError, unknown_name
from study.classifying import Described, Source, describe, read_items
from style.base import Encoder, Images
from style.classify.classifier import Classifier
from style.encoders.make import make_encoder
from style.images import decode
from style.imagestore import ImageStore
from style.reasons.picture import write_reason
from style.reasons.what import nearest, style_words
from style.reasons.where import class_score, has_places, heat_map


def explain_style(
    classifier: Path,
    photo: Path,
    *,
    out: Path | None = None,
    among: Source | None = None,
    name: str = "",
    k: int = 3,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """The shares of the styles of one photo, their words, and up to k of the nearest known photos.

    Args:
        classifier: Folder that `study.classifying.train` wrote.
        photo: A picture's file.
        out: Picture to write: the photo, a heat map if a block of the classifier has places, and the nearest.
        among: The known photos to look for the nearest in; None for none.
        name: The class to explain; "" for the likeliest.
        k: At most so many of the nearest.
        say: Is told what is left out.

    Raises:
        ConfigError: The classifier has no such class, or ``out`` is of another kind.
        DataError: The photo cannot be read.
        MissingExtraError: Captum is needed and not installed.
    """
    known = Classifier.load(classifier)
    if name and name not in known.classes:
        raise ConfigError(unknown_name("class", name, known.classes))
    if out is not None and out.suffix.lower() not in (".png", ".svg"):
        raise ConfigError(f"a picture must end in .svg or .png, got {out.name}")
    item = pd.DataFrame({"item_id": [str(photo)], "image": [photo.name], "title": [""]}, dtype=object)
    described = _described(known, Source(photo.parent), item, say)
    shares = known.predict(described.table).probabilities[0]
    name = name or known.classes[int(shares.argmax())]
    prototypes = [] if among is None else _nearest(known, described, among, (name, k), say)
    words = style_words(known.classes, shares)
    if out is not None:
        pixels = decode(photo.read_bytes()).pixels
        panels = [("the photo", pixels), *_heat(known, name, pixels, say), *prototypes]
        write_reason(panels, f"{words}; like these" if prototypes else words, out)
    styles = [{"style": c, "probability": float(p)} for c, p in zip(known.classes, shares, strict=True)]
    styles.sort(key=lambda row: -float(row["probability"]))  # type: ignore[arg-type]
    return {"text": words, "explained": name, "styles": styles, "like": [caption for caption, _ in prototypes]}


def _described(known: Classifier, source: Source, frame: pd.DataFrame, say: Callable[[str], None]) -> Described:
    with TemporaryDirectory() as work:
        return describe(source, frame, known.scaling.blocks, Path(work), say)


def _nearest(
    known: Classifier, one: Described, among: Source, wanted: tuple[str, int], say: Callable[[str], None]
) -> list[tuple[str, Images]]:
    """Ids and pixels of the nearest; a copy of the photo itself, by its content, is none of them."""
    frame = read_items(among)
    others = _described(known, among, frame, say)
    alike = (others.hashes == one.hashes).all(axis=1)
    kept = others.table.ids.ids[~alike]
    if not len(kept):
        return []
    found = nearest(known, one.table, others.table.align(IdMap.of(kept)), wanted[0], wanted[1])
    files = dict(zip(frame["item_id"], frame["image"], strict=True))
    with ImageStore.open(among.images) as store:
        return [(i, decode(store.read(files[i])).pixels) for i in found]


def _heat(known: Classifier, name: str, photo: Images, say: Callable[[str], None]) -> list[tuple[str, Images]]:
    """A heat map for each block that has places."""
    encoders: list[Encoder] = [make_encoder(block) for block in known.scaling.blocks]
    able = [encoder for encoder in encoders if has_places(encoder)]
    if not able:
        say(f"no heat map: {', '.join(known.scaling.blocks)} cannot say where; train with efficientnet-lite0 for one")
    maps = [heat_map(encoder, photo, class_score(known, name, encoder.name)) for encoder in able]
    return [(f"what says {name}", found.over(photo)) for found in maps]
