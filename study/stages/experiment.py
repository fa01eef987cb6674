"""Rehearse the A/B test `stylised` against `original` under an assumed effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.ab_config import ABConfig
from evaluation.experiment.decision import run_experiment
from evaluation.response.calibrate import read_calibration
from evaluation.response.effect import style_log_odds
from evaluation.response.feedback import simulate_feedback
from evaluation.simulate import Arm
from recsys.config import to_mapping
from recsys.data.catalog import Catalog
from recsys.data.recommendations import ORIGINAL
from recsys.errors import ConfigError
from recsys.files import write_json
from recsys.models.artifacts import load_model
from recsys.models.base import FittedRecommender
from study.learning import dataset_of
from study.run import Stage, Study, Work
from study.stages.fit import richest
from study.taste import LookTaste, look_taste

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
LEVELS = ("leans away", "neutral", "leans to it")


def rehearse(run: Path, *, seed: int, **changes: Any) -> dict[str, Any]:
    """Simulate again on a finished study, with other settings of ``[ab]``; None: as in the study.

    Raises:
        ConfigError: Both a response model and a calibration, which names one, are asked for.
    """
    study = Study.open(run)
    given = {key: value for key, value in changes.items() if value is not None}
    if "response" in given and "calibration" in given:
        raise ConfigError("a calibration names its response model; give --calibration or --response, not both")
    if "response" in given:
        given["calibration"] = ""
    return experiment(study, replace(study.config.ab, **given), seed)


def experiment(study: Study, config: ABConfig, seed: int) -> dict[str, Any]:
    """The simulated test as JSON; empty where the study has no looks to test."""
    if not study.looks or not study.config.catalog.images:
        return {}
    config = _calibrated(study, config)
    data = dataset_of(study)
    taste = look_taste(study, data)
    model = load_model(study.folder / "models" / chosen_model(study))
    prices = Catalog.load(study.folder / "catalog.parquet").frame["price"].to_numpy(np.float32)
    control, treatment = make_arms(model, taste, config, price=prices)
    lean = taste.lean[np.arange(len(taste.lean)), taste.best]
    cuts = np.quantile(lean, [1 / 3, 2 / 3])
    segments = {
        "taste for the look": np.asarray(LEVELS, dtype=object)[np.searchsorted(cuts, lean)],
        "look": np.asarray(taste.looks, dtype=object)[taste.best],
        "history": np.where(np.diff(data.matrix.indptr) >= 5, "5 items or more", "fewer than 5 items").astype(object),
    }
    found = run_experiment(control, treatment, config, unit_segments=segments, seed=seed)
    if config.feedback.is_off:
        return found
    pools = make_arms(model, taste, replace(config, slate=config.feedback.pool))
    return found | {"feedback": simulate_feedback(*pools, config, seed=seed).to_json()}


def _calibrated(study: Study, config: ABConfig) -> ABConfig:
    """What the study's calibration found takes the place of what was assumed."""
    return replace(config, **read_calibration(study.base / config.calibration)) if config.calibration else config


def chosen_model(study: Study) -> str:
    """The model that fills the slates: the hybrid where there is one, else the first that uses features."""
    models = study.config.make_models()
    with_features = [name for name, m in models.items() if richest(study, m) == ORIGINAL]
    return next(n for n in ("hybrid", *with_features, *models) if n in models)


def make_arms(
    model: FittedRecommender, taste: LookTaste, config: ABConfig, *, price: Floats | None = None
) -> tuple[Arm, Arm]:
    """What each user sees in either arm, and how attractive it is.

    Both arms list the same items, so that the difference is the presentation's alone. Control shows originals;
    treatment shows each user the look they lean to, and the original of items that were not accepted in it.
    Attraction is the model's view of the product itself, plus in treatment the assumed effect of the look.

    Args:
        model: Fills the slates.
        taste: Of its users, for the looks.
        config: What is assumed.
        price: (n_items,) for revenue, NaN unknown: the mean of the known; None: everything costs 1.
    """
    users = np.arange(len(model.users), dtype=np.int64)
    slates, _ = model.top_items(users, k=config.slate)
    appeal = _appeal(model, users, slates)
    spread = config.appeal_spread
    level = float(np.log(config.base_click_rate / (1 - config.base_click_rate)) - spread * appeal.mean())
    plain = level + spread * appeal
    cost = None if price is None else _known(price)[np.maximum(slates, 0)]
    look, loss = _shown(taste, slates)
    return (
        Arm("original", slates, plain.astype(np.float32), price=cost),
        Arm(
            "stylised",
            slates,
            (plain + _shift(taste, look, loss, config)).astype(np.float32),
            look=look,
            loss=loss,
            price=cost,
        ),
    )


def _known(price: Floats) -> Floats:
    known = np.isfinite(price)
    return np.where(known, price, price[known].mean() if known.any() else 1).astype(np.float32)


def _appeal(model: FittedRecommender, users: Ints, slates: Ints, block: int = 256) -> Floats:
    """Scores of the slates' items in standard deviations of the user's scores, 0 in empty places."""
    found = np.zeros(slates.shape, np.float32)
    for start in range(0, len(users), block):
        part = slice(start, start + block)
        scores = model.scores(model.users.decode(users[part]))
        scores = (scores - scores.mean(axis=1, keepdims=True)) / np.maximum(scores.std(axis=1, keepdims=True), 1e-9)
        listed = np.take_along_axis(scores, np.maximum(slates[part], 0), axis=1)
        found[part] = np.where(slates[part] >= 0, listed, 0)
    return found


def _shown(taste: LookTaste, slates: Ints) -> tuple[Bools, Floats]:
    """(n_users, K): where treatment shows a look, and what recognisability that costs."""
    best, items = taste.best[:, None], np.maximum(slates, 0)
    look = taste.accepted[items, best] & (slates >= 0)
    return look, np.where(look, taste.loss[items, best], 0).astype(np.float32)


def _shift(taste: LookTaste, look: Bools, loss: Floats, config: ABConfig) -> Floats:
    lean = np.broadcast_to(taste.lean[np.arange(len(taste.lean)), taste.best][:, None], look.shape)
    effect = np.zeros(look.shape, np.float32)
    if look.any():
        effect[look] = style_log_odds(lean[look][:, None], loss[look][:, None], config)[:, 0]
    return effect


def _ab(study: Study) -> Work:
    write_json(study.folder / "ab.json", experiment(study, study.config.ab, study.config.seed))
    return Work(study.config.ab.users, "users")


def _inputs(study: Study) -> Any:
    return {"ab": to_mapping(_calibrated(study, study.config.ab)), "seed": study.config.seed}


AB = Stage("simulated A/B", ("ingest", "features", "fit"), _inputs, _ab, ("ab.json",))
