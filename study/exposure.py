"""What users would be shown: how much of the catalogue, how evenly, in which looks, and at whose expense."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.metrics.catalogue import coverage, exposure, gini
from evaluation.simulate import Arm
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from study.learning import dataset_of
from study.run import Study
from study.serving import BEST, open_model, present
from study.stages.experiment import chosen_model, make_arms
from study.taste import look_taste

Floats = npt.NDArray[np.float64]
USERS, LIST, CATEGORIES = 2000, 10, 12
"""How many users at most are looked at, how long their lists are, and how many categories are told."""
TOP = 0.1
"""The most listed tenth of the items."""


def shown(study: Study) -> dict[str, Any]:
    """The table ``exposure`` of ``metrics.json``, of at most `USERS` users drawn by the study's seed."""
    model, data = chosen_model(study), dataset_of(study)
    catalog = Catalog.load(study.folder / "catalog.parquet").frame
    rng = np.random.default_rng(study.config.seed)
    ids = data.users.ids
    users = ids if len(ids) <= USERS else ids[np.sort(rng.choice(len(ids), USERS, replace=False))]
    recs = open_model(study.folder.path, model).recommend(list(users), k=LIST)
    frame = recs.to_frame()
    if has_looks(study):
        frame = present(study, model, recs, BEST, say=lambda line: None)
    listed = data.items.encode(frame["item_id"])
    bought = np.asarray(data.matrix.sum(axis=0), np.float64).ravel()
    return {
        "model": model,
        "k": LIST,
        "users": len(users),
        "coverage": coverage(listed[:, None], len(data.items)),
        **_concentration(exposure(listed[:, None], len(data.items))),
        "past": _concentration(bought),
        "looks": _looks(frame) if has_looks(study) else [],
        "categories": _categories(data, catalog, listed, bought),
        "cannibalisation": moved(study, data) if has_looks(study) else {},
    }


def has_looks(study: Study) -> bool:
    """Whether there is anything but originals to show."""
    return bool(study.looks and study.config.catalog.images)


def _concentration(counts: npt.ArrayLike) -> dict[str, float | None]:
    """Gini, and the share of the most listed tenth; None where nothing is listed."""
    x = np.sort(np.asarray(counts, float))[::-1]
    unevenness = gini(x)
    if not x.sum():
        return {"gini": None, "top_share": None}
    top = float(x[: max(1, round(TOP * len(x)))].sum() / x.sum())
    return {"gini": unevenness if np.isfinite(unevenness) else None, "top_share": top}


def _looks(frame: pd.DataFrame) -> list[dict[str, Any]]:
    found = frame.groupby("presentation")["item_id"].agg(["size", "nunique"]).sort_values("size", ascending=False)
    return [
        {"look": str(look), "places": int(n), "share": n / len(frame), "items": int(items)}
        for look, n, items in found.itertuples()
    ]


def _categories(
    data: Dataset, catalog: pd.DataFrame, listed: npt.NDArray[np.int64], bought: Floats
) -> list[dict[str, Any]]:
    """The largest by places: share of the places, of the catalogue and of past purchases."""
    if "category" not in catalog:
        return []
    named = catalog.set_index("item_id")["category"].reindex(data.items.ids).fillna("").astype(str)
    names, codes = np.unique(named.to_numpy(dtype=object).astype(str), return_inverse=True)
    columns = [np.bincount(codes[listed], minlength=len(names)), np.bincount(codes, minlength=len(names))]
    columns.append(np.bincount(codes, weights=bought, minlength=len(names)))
    places, items, past = (c / max(c.sum(), 1) for c in columns)
    order = sorted(range(len(names)), key=lambda i: (-places[i], names[i]))[:CATEGORIES]
    return [
        {"category": str(names[i]) or "none", "share": places[i], "catalogue": items[i], "past": past[i]} for i in order
    ]


def moved(study: Study, data: Dataset) -> dict[str, Any]:
    """Whether restyled items would take clicks from their neighbours; see `taken`."""
    taste = look_taste(study, data)
    model = open_model(study.folder.path, chosen_model(study))
    return taken(*make_arms(model, taste, study.config.ab))


def taken(control: Arm, treatment: Arm) -> dict[str, Any]:
    """Expected clicks on restyled places and on their neighbours, where a shopper picks one item of a page at most.

    The multinomial logit with an outside option of utility 0: an item is picked with probability
    exp(u_i) / (1 + Σ exp(u_j)) (Train, Discrete choice methods with simulation, 2009, eq. 3.6), u the log-odds of a
    click on the item alone. Other models of response move less between neighbours, the position-based one nothing.

    Returns:
        rows of places (restyled, kept as they are), share of all places, clicks on 1,000 pages in either arm and
        their relative change; and ``reads``, a sentence. Empty where no place is restyled.
    """
    filled = control.items >= 0
    restyled = filled & (treatment.log_odds != control.log_odds)
    if not restyled.any():
        return {}
    picked = [_picked(arm) for arm in (control, treatment)]
    rows: list[dict[str, Any]] = []
    for name, which in (("restyled", restyled), ("kept as they are", filled & ~restyled)):
        before, after = (float(1000 * p[which].sum() / len(p)) for p in picked)
        row = {"places": name, "share": float(which.sum() / filled.sum()), "control": before, "treatment": after}
        rows.append(row | {"relative": after / before - 1 if before else None})
    gain, loss = (row["treatment"] - row["control"] for row in rows)
    return {"rows": rows, "reads": _reads(gain, loss)}


def _picked(arm: Arm) -> Floats:
    u = np.where(arm.items >= 0, arm.log_odds.astype(np.float64), -np.inf)
    odds = np.exp(u)
    return np.asarray(odds / (1 + odds.sum(axis=1, keepdims=True)))


def _reads(gain: float, loss: float) -> str:
    where = "Where shoppers pick at most one item of a page (multinomial logit)"
    if gain <= 0:
        return f"{where}, restyled items gain nothing, so there is nothing to take from their neighbours."
    return (
        f"{where}, {max(0.0, -loss) / gain:.0%} of what restyled items gain comes from items of the same page that "
        "keep their original; the rest are clicks that nobody had. Under the position-based model it is none."
    )
