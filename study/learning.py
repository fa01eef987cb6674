"""What the models of a study learn from: its interactions, weighed and split as the study file says."""

from __future__ import annotations

from dataclasses import replace

from evaluation.splits import Split, split
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.data.weighting import as_float32, event_factors
from recsys.errors import ConfigError, unknown_name
from study.run import Study


def log_of(study: Study) -> Interactions:
    """Every interaction, its weight multiplied by its event's; an event of weight 0 is no evidence anywhere.

    Raises:
        DataError: The log has an event that ``event_weights`` does not name.
    """
    log = Interactions.load(study.folder / "interactions.parquet")
    weights = study.config.interactions.event_weights
    if not weights:
        return log
    weight = log.frame["weight"].to_numpy() * event_factors(log.frame["event"], weights)
    return replace(log, frame=log.frame.assign(weight=as_float32(weight)))


def split_of(study: Study) -> Split:
    """The study's interactions, split as configured.

    Raises:
        ConfigError: ``split.stratify`` is no column of the catalogue.
    """
    return split(log_of(study), study.config.split, strata=strata_of(study))


def strata_of(study: Study) -> dict[str, str] | None:
    """Item → value of the column ``split.stratify``; None where the split draws from no strata.

    Raises:
        ConfigError: It is no column of the catalogue.
    """
    name = study.config.split.stratify
    if not name:
        return None
    frame = Catalog.load(study.folder / "catalog.parquet").frame
    if name not in frame.columns:
        raise ConfigError(f"split.stratify: {unknown_name('catalogue column', name, map(str, frame.columns))}")
    return dict(zip(frame["item_id"], frame[name].fillna("").astype(str), strict=True))


def dataset_of(study: Study, interactions: Interactions | None = None) -> Dataset:
    """Interactions (None: all of the study's) over the whole catalogue, older ones with less weight where asked."""
    return Dataset.of(
        log_of(study) if interactions is None else interactions,
        Catalog.load(study.folder / "catalog.parquet"),
        half_life_days=study.config.interactions.half_life_days,
    )
