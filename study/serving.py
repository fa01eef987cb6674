"""Recommend from a finished study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.cells import TextColumn
from recsys.data.recommendations import ORIGINAL, Recommendations
from recsys.data.source import read_table
from recsys.errors import ArtifactError, ConfigError, DataError, unknown_name
from recsys.models.artifacts import load_model
from recsys.models.base import FittedRecommender
from study.run import Study
from study.taste import load_data, look_taste

BEST = "best"


def open_model(run: Path, name: str) -> FittedRecommender:
    """A fitted model of a study by name.

    Raises:
        ArtifactError: The study has no such model.
    """
    folder = Study.open(run).folder / "models"
    known = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if name not in known:
        raise ArtifactError(unknown_name("model", name, known))
    return load_model(folder / name)


def read_users(path: Path | None) -> list[str] | None:
    """The user_id column of a table, or None for everybody."""
    if path is None:
        return None
    frame = read_table(path).frame
    if "user_id" not in frame.columns:
        raise DataError(f"{path} has no column user_id; it has {', '.join(map(str, frame.columns))}")
    return list(TextColumn.of(frame["user_id"]).array())


def recommend_from(
    run: Path,
    model: str,
    users: Sequence[str] | None,
    *,
    k: int,
    look: str,
    exclude_seen: bool = True,
    skip_unknown: bool = False,
    say: Callable[[str], None] = print,
) -> Recommendations:
    """Recommend to ``users`` (None: all) and say in which presentation to show each item.

    Raises:
        ConfigError: The study has no such look.
        UnknownIdError: A user the model does not know, unless ``skip_unknown``: then they are counted through ``say``.
    """
    study = Study.open(run)
    choices = [ORIGINAL, BEST, *study.looks] if study.looks else [ORIGINAL]
    if look not in choices:
        raise ConfigError(unknown_name("look", look, choices))
    fitted = open_model(run, model)
    wanted = list(fitted.users.ids) if users is None else list(users)
    if skip_unknown:
        unknown = [user for user in wanted if user not in fitted.users]
        wanted = [user for user in wanted if user in fitted.users]
        if unknown:
            say(f"{len(unknown)} unknown users left out, first {unknown[0]!r}")
    recs = fitted.recommend(wanted, k=k, exclude_seen=exclude_seen)
    return recs if look == ORIGINAL else present(study, recs, look)


def similar_from(run: Path, model: str, items: Sequence[str], *, k: int) -> pd.DataFrame:
    """The items most like ``items``: query, item_id, title, category, score, rank."""
    found = open_model(run, model).similar_items(items, k=k).to_frame().rename(columns={"user_id": "query"})
    about = Catalog.load(Study.open(run).folder / "catalog.parquet").frame.set_index("item_id")
    named = found.join(about[["title", "category"]], on="item_id")
    return named[["query", "item_id", "title", "category", "score", "rank"]]


def present(study: Study, recs: Recommendations, look: str) -> Recommendations:
    """Show each item in ``look`` (or in the look its user leans to) where that was accepted, else as it is."""
    data = load_data(study)
    taste = look_taste(study, data)
    user, item = data.users.encode(recs.user_id), data.items.encode(recs.item_id)
    wanted = taste.best[user] if look == BEST else np.full(len(user), taste.looks.index(look))
    names = np.asarray(taste.looks, dtype=object)[wanted]
    return replace(recs, presentation=np.where(taste.accepted[item, wanted], names, ORIGINAL).astype(object))


def titles(catalog: pd.DataFrame) -> dict[str, str]:
    """item_id → title, the id where there is none."""
    return {i: t or i for i, t in zip(catalog["item_id"], catalog["title"].fillna(""), strict=True)}
