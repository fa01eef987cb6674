"""A finished study as it is served: one model, the looks, and what pages say of items. Never changed, only replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ArtifactError
from recsys.files import stable_hash
from recsys.models.base import PresentationAware
from recsys.models.fitted import FittedModel
from recsys.rerank.chain import Step, steps_from
from recsys.rerank.known import Known
from recsys.rerank.rules import Exclude
from recsys.topk import Floats, Ints
from shop.search import Search
from study.learning import dataset_of
from study.run import Study
from study.serving import known_of, open_model
from study.stages.features import table_for
from study.stages.fit import features_of, richest
from study.taste import LookTaste, look_taste

NEWCOMER = "new"
"""Segment of customers without history."""


@dataclass(frozen=True, eq=False)
class Items:
    """What is said of items, in the model's order.

    Attributes:
        frame: item_id, title, category, price and further columns of the catalogue.
        image: (n_items, n_looks) path in the study folder, of the original the name in the store; "" for none.
        accepted: (n_items, n_looks) whether it may be shown; the original always may.
        refusal: (n_items, n_looks) why not.
    """

    frame: pd.DataFrame
    image: npt.NDArray[Any]
    accepted: npt.NDArray[np.bool_]
    refusal: npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What one published run serves.

    Attributes:
        study: The run.
        name: Of the model.
        fitted: The model.
        version: Changes whenever the run does.
        looks: Original first.
        items: What is said of them.
        by_look: Look → the model seeing the catalogue in it; empty where it sees no pictures.
        taste: What customers' histories lean to; None without looks.
        data: What the model was fitted on, with its features.
        steps: The study's own re-ranking.
        known: What its rules look at; None without rules.
    """

    study: Study
    name: str
    fitted: FittedModel
    version: str
    looks: tuple[str, ...]
    items: Items
    by_look: Mapping[str, FittedModel]
    taste: LookTaste | None
    data: Dataset
    steps: tuple[Step, ...]
    known: Known | None

    @cached_property
    def search(self) -> Search:
        """The model, laid out for single requests."""
        return Search(self.fitted)

    @cached_property
    def points(self) -> Floats | None:
        """(n_looks, n_items, d [+ 1]) items' vectors in every look; None where scores are no inner products."""
        found = [model.factors() for model in self.by_look.values()]
        if not found or any(f is None for f in found):
            return None
        return np.stack([f.item_points() for f in found if f is not None])

    @cached_property
    def denied(self) -> Ints | None:
        """Items that the study's rules exclude for everybody."""
        if self.known is None:
            return None
        out = np.zeros(len(self.fitted.items), bool)
        for step in self.steps:
            if isinstance(step, Exclude):
                out |= step.where.items(self.known)
        return np.flatnonzero(out) if out.any() else None

    @cached_property
    def has_history(self) -> npt.NDArray[np.bool_]:
        """(n_users,)."""
        return np.asarray(np.diff(self.fitted.seen.indptr) > 0)

    @cached_property
    def _columns(self) -> dict[str, npt.NDArray[Any]]:
        return {str(name): self.items.frame[name].to_numpy(dtype=object) for name in self.items.frame.columns}

    @cached_property
    def _places(self) -> dict[str, int]:
        # A hundred times faster for one id than an index of pandas.
        return {user: place for place, user in enumerate(self.fitted.users.ids.tolist())}

    def place(self, user_id: str) -> int:
        """Index of a customer, -1 where unknown."""
        return self._places.get(user_id, -1)

    def segment(self, user_id: str) -> str:
        """The look that a customer's history leans to most; ``new`` without history, ``all`` without looks."""
        place = self.place(user_id)
        if place < 0 or not self.has_history[place]:
            return NEWCOMER
        return "all" if self.taste is None else self.taste.looks[self.taste.best[place]]

    def text(self, column: str, item: int) -> str:
        """A text of an item; "" where it has none."""
        value = self._columns[column][item]
        return "" if pd.isna(value) else str(value)

    def price(self, item: int) -> float | None:
        """None where it is not known."""
        price = self._columns["price"][item]
        return None if pd.isna(price) else round(float(price), 2)

    def title(self, item: int) -> str:
        """Its id where it has none."""
        return self.text("title", item) or str(self.fitted.items.ids[item])


def version_of(run: Path) -> str:
    """Changes when another run is published at this path, or its models are fitted anew.

    Raises:
        ArtifactError: It is no study folder.
    """
    study = Study.open(run)
    stages = study.folder.ledger()["stages"]
    made = {name: [entry.get("key"), entry.get("finished")] for name, entry in stages.items()}
    told = {name: made.get(name) for name in ("ingest", "looks", "features", "fit")}
    return stable_hash([str(run.resolve()), told])[:12]


def open_snapshot(run: Path, name: str) -> Snapshot:
    """Load what a finished run serves.

    Raises:
        ArtifactError: It is no study folder, has no such model, or was written to meanwhile.
    """
    run = run.resolve()
    version = version_of(run)
    study = Study.open(run)
    fitted = open_model(run, name)
    if not isinstance(fitted, FittedModel):
        raise ArtifactError(f"{name} is a model of another kind than the service knows; derive it from FittedModel")
    data = dataset_of(study)
    features = richest(study, study.config.make_models()[name])
    table = features_of(study, features)
    looks = (ORIGINAL, *study.looks)
    sees = len(looks) > 1 and features == ORIGINAL and isinstance(fitted, PresentationAware)
    steps = steps_from(study.config.rerank)
    made = Snapshot(
        study=study,
        name=name,
        fitted=fitted,
        version=version,
        looks=looks,
        items=_items(study, fitted.items, looks),
        by_look={look: _as(fitted.with_item_features(table_for(study, look))) for look in looks}
        if sees and isinstance(fitted, PresentationAware)
        else {},
        taste=look_taste(study, data) if len(looks) > 1 else None,
        data=data if table is None else data.with_item_features(table),
        steps=steps,
        known=known_of(study) if steps else None,
    )
    if version_of(run) != version:
        raise ArtifactError(f"{run} was written to while it was loaded; it is loaded again")
    return made


def _as(fitted: Any) -> FittedModel:
    if not isinstance(fitted, FittedModel):
        raise ArtifactError(f"with_item_features gave a {type(fitted).__name__}, which is no FittedModel")
    return fitted


def _items(study: Study, ids: IdMap, looks: tuple[str, ...]) -> Items:
    catalog = Catalog.load(study.folder / "catalog.parquet").frame.set_index("item_id", drop=False)
    frame = catalog.reindex(ids.ids).reset_index(drop=True)
    image = np.full((len(ids), len(looks)), "", dtype=object)
    accepted, refusal = np.zeros(image.shape, bool), np.full(image.shape, "", dtype=object)
    accepted[:, 0] = True
    photos = pd.read_parquet(study.folder / "images.parquet")
    usable = photos[photos["status"] != "bad"]
    place = ids.positions(usable["item_id"].to_numpy(dtype=object))
    image[place[place >= 0], 0] = usable["image"].to_numpy(dtype=object)[place >= 0]
    made = Presentations.load(study.folder / "presentations.parquet").frame
    for column, look in enumerate(looks[1:], start=1):
        rows = made[made["look"] == look]
        place = ids.positions(rows["item_id"].to_numpy(dtype=object))
        rows, place = rows[place >= 0], place[place >= 0]
        image[place, column] = rows["image"].fillna("").to_numpy(dtype=object)
        accepted[place, column] = rows["accepted"].to_numpy(bool)
        refusal[place, column] = rows["reason"].fillna("").to_numpy(dtype=object)
    return Items(frame, image, accepted, refusal)
