"""Which look suits whom: users' histories against the direction in which a look moves the pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.data.dataset import Dataset
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from study.run import Study
from study.stages.features import table_for

Floats = npt.NDArray[np.float32]
STYLE_BLOCKS = ("gram", "magenta-style")
"""Blocks that tell style from content, best first; another picture block stands in where a study has neither."""


@dataclass(frozen=True, eq=False)
class LookTaste:
    """How much each user's history leans towards each look.

    Attributes:
        looks: Look names.
        lean: (n_users, n_looks) standard deviations above the average user; 0 without history.
        accepted: (n_items, n_looks) whether an item may be shown in a look.
        loss: (n_items, n_looks) recognisability loss of the product itself: 1 - structural similarity inside it (a new
            backdrop is no loss); 0 where not accepted.
    """

    looks: tuple[str, ...]
    lean: Floats
    accepted: npt.NDArray[np.bool_]
    loss: Floats

    @property
    def best(self) -> npt.NDArray[np.int64]:
        """(n_users,) the look each user leans to most."""
        return np.asarray(self.lean.argmax(axis=1), np.int64)


def look_taste(study: Study, data: Dataset) -> LookTaste:
    """Lean of every user towards every look.

    A look's direction is the mean displacement of its accepted presentations in style space; a user's position is
    the mean of what they interacted with, relative to the average user. Lean is their cosine, standardised over users.
    """
    looks = tuple(study.looks)
    block = style_block(study)
    accepted, loss = _verdicts(study, data, looks)
    if block is None:
        return LookTaste(looks, np.zeros((len(data.users), len(looks)), np.float32), accepted, loss)
    original = np.asarray(table_for(study, ORIGINAL)[block].values)
    profiles = _profiles(data, original)
    columns = []
    for j, look in enumerate(looks):
        moved = np.asarray(table_for(study, look)[block].values)[accepted[:, j]] - original[accepted[:, j]]
        direction = moved.mean(axis=0) if len(moved) else np.zeros(original.shape[1], np.float32)
        length = np.linalg.norm(profiles, axis=1) * np.linalg.norm(direction)
        cosine = profiles @ direction / np.maximum(length, 1e-12)
        columns.append((cosine - cosine.mean()) / max(float(cosine.std()), 1e-12))
    return LookTaste(looks, np.stack(columns, axis=1).astype(np.float32), accepted, loss)


def style_block(study: Study) -> str | None:
    """The block in which style is measured; None without pictures."""
    return next((b for b in STYLE_BLOCKS if b in study.encoders), next(iter(study.encoders), None))


def _profiles(data: Dataset, rows: Floats) -> Floats:
    history = data.matrix.copy()
    history.data[:] = 1.0
    counts = np.maximum(np.diff(history.indptr), 1)[:, None]
    profiles = np.asarray(history @ rows) / counts
    return np.asarray(profiles - profiles.mean(axis=0), np.float32)


def _verdicts(study: Study, data: Dataset, looks: tuple[str, ...]) -> tuple[npt.NDArray[np.bool_], Floats]:
    frame = Presentations.load(study.folder / "presentations.parquet").frame
    accepted = np.zeros((len(data.items), len(looks)), bool)
    loss = np.zeros((len(data.items), len(looks)), np.float32)
    for j, look in enumerate(looks):
        rows = frame[(frame["look"] == look) & frame["accepted"]]
        index = data.items.encode(rows["item_id"].to_numpy(dtype=object))
        accepted[index, j] = True
        if "score_ssim" in rows:
            loss[index, j] = 1 - rows["score_ssim"].fillna(1.0).to_numpy(np.float32)
    return accepted, loss
