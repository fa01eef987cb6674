"""Some users: what they chose, what they would be shown, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from recsys.data.interactions import Interactions
from recsys.explain.contributions import Explainable
from recsys.explain.explanation import explain
from recsys.models.base import FittedRecommender
from study.explaining import WORDS
from study.exposure import has_looks
from study.learning import dataset_of, split_of
from study.run import Study
from study.serving import BEST, open_model, present, titles
from study.stages.experiment import chosen_model
from study.stages.fit import features_of, richest

PEOPLE, HISTORY, LIST = 6, 8, 8


def people(study: Study, catalog: pd.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The table ``people`` of ``metrics.json``: users with a history worth looking at."""
    log = Interactions.load(study.folder / "interactions.parquet").frame
    counts = log.groupby("user_id")["item_id"].nunique()
    if counts.empty:
        return []
    able = counts.index[counts >= min(4, int(counts.max()))].to_numpy(dtype=object)
    users = [str(user) for user in rng.choice(able, size=min(PEOPLE, len(able)), replace=False)]
    name = chosen_model(study)
    fitted = open_model(study.folder.path, name)
    recs = fitted.recommend(users, k=LIST)
    frame = recs.to_frame()
    if has_looks(study):
        frame = present(study, name, recs, BEST, say=lambda line: None)
    names, cold = titles(catalog), cold_items(study, catalog)
    frame["why"] = reasons(study, name, fitted, list(zip(frame["user_id"], frame["item_id"], strict=True)), names)
    lists = {user: rows for user, rows in frame.groupby("user_id")}
    return [
        {
            "user_id": user,
            "history": [{"item_id": i, "title": names[i]} for i in _latest(log, user)],
            "recommendations": [
                row | {"title": names[row["item_id"]], "cold": row["item_id"] in cold}
                for row in lists[user].drop(columns="user_id").to_dict(orient="records")
            ],
        }
        for user in users
        if user in lists
    ]


def reasons(
    study: Study, name: str, fitted: FittedRecommender, pairs: Sequence[tuple[str, str]], names: dict[str, str]
) -> list[str]:
    """Why each item is recommended to the user, in two sentences; "" of a model that cannot say."""
    data = dataset_of(study)
    table = features_of(study, richest(study, study.config.make_models()[name]))
    data = data if table is None else data.with_item_features(table)
    if not isinstance(fitted, Explainable):
        return [""] * len(pairs)
    return [explain(fitted, user, item, data).to_text(names, words=WORDS) for user, item in pairs]


def cold_items(study: Study, catalog: pd.DataFrame) -> set[str]:
    """Items nobody had bought before the split."""
    if study.config.split.kind == "none":
        return set()
    return set(catalog["item_id"]) - set(split_of(study).train.frame["item_id"])


def _latest(frame: pd.DataFrame, user: str) -> list[str]:
    mine = frame[frame["user_id"] == user]
    return list(dict.fromkeys(mine["item_id"].iloc[::-1]))[:HISTORY]
