"""What the models of a study learn from: its interactions, weighed and split as the study file says."""

from __future__ import annotations

from dataclasses import replace

from evaluation.splits import Split, split
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.data.weighting import as_float32, event_factors
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
    """The study's interactions, split as configured."""
    return split(log_of(study), study.config.split)


def dataset_of(study: Study, interactions: Interactions | None = None) -> Dataset:
    """Interactions (None: all of the study's) over the whole catalogue, older ones with less weight where asked."""
    return Dataset.of(
        log_of(study) if interactions is None else interactions,
        Catalog.load(study.folder / "catalog.parquet"),
        half_life_days=study.config.interactions.half_life_days,
    )
