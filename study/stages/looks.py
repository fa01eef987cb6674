"""Restyle every usable photo to every look."""

from __future__ import annotations

from typing import Any

from recsys.data.presentation import Presentations
from recsys.data.stored import load_frame
from study.run import Stage, Study, Work
from study.stages.ingest import open_images
from style.catalogue import restyle


def usable_photos(study: Study) -> dict[str, str]:
    """item_id → file name of the photos that can be decoded, in catalogue order."""
    images = load_frame(study.folder / "images.parquet", needs=("item_id", "image", "status", "reason"))
    usable = images[images["status"] != "bad"]
    return dict(zip(usable["item_id"], usable["image"], strict=True))


def _looks(study: Study) -> Work:
    photos, store = usable_photos(study), open_images(study)
    if store is None or not study.looks:
        Presentations.of([]).save(study.folder / "made.parquet")
        (study.folder / "images").mkdir(exist_ok=True)
        return Work(0, "images")
    with store:
        made = restyle(
            list(photos),
            lambda item: store.read(photos[item]),
            list(study.looks.values()),
            study.folder.path,
            seed=study.config.seed,
        )
    made.save(study.folder / "made.parquet")
    return Work(len(made.frame), "images")


def _inputs(study: Study) -> Any:
    return {"looks": {name: look.key for name, look in study.looks.items()}, "seed": study.config.seed}


LOOKS = Stage("looks", ("ingest",), _inputs, _looks, ("made.parquet", "images"))
