"""A study file (TOML) as frozen dataclasses; every key has a default but where the data lies."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from evaluation.metrics import METRICS, RANKING
from evaluation.offline.run import AUC
from evaluation.simulate import ABConfig
from evaluation.splits import SplitConfig
from recsys.config import from_mapping
from recsys.data.weighting import check_event_weights, check_half_life
from recsys.errors import ConfigError, unknown_name
from recsys.models.base import Recommender
from recsys.registry import component, names
from recsys.rerank.chain import steps_from
from study.blocks import FeaturesConfig
from style.look import Look, look_from_mapping

DEFAULT_LOOKS = ("retro", "minimalist")
DEFAULT_MODELS = ("popularity", "als", "content", "hybrid")


@dataclass(frozen=True)
class CatalogConfig:
    """Where the items are.

    Attributes:
        path: CSV, Parquet or ``duckdb:file.db?select …``; relative to the study file.
        images: Folder or zip of photos; "" for none.
        columns: Our column name → theirs.
        where: Keep only rows whose column has this value (or one of these values).
    """

    path: str
    images: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InteractionsConfig:
    """Where the purchases are, and how strongly each counts.

    Attributes:
        path: As in `CatalogConfig`.
        columns: As in `CatalogConfig`.
        event_weights: Event → by what the weight of its interactions is multiplied; every event of the log must be
            named. 0 makes an event no evidence, neither to learn from nor to judge by. Empty: all count alike.
        half_life_days: What models learn from loses half its weight every so many days before the last interaction.
    """

    path: str
    columns: Mapping[str, str] = field(default_factory=dict)
    event_weights: Mapping[str, float] = field(default_factory=dict)
    half_life_days: float | None = None

    def __post_init__(self) -> None:
        check_half_life(self.half_life_days)
        check_event_weights(self.event_weights)

    @property
    def weighting(self) -> Mapping[str, Any]:
        """What changes models and not the tables."""
        return {"event_weights": dict(self.event_weights), "half_life_days": self.half_life_days}


@dataclass(frozen=True)
class EvaluationConfig:
    """The offline comparison.

    Attributes:
        k: List lengths.
        metrics: Names of what is measured; see `evaluation.metrics.RANKING`. ``auc`` ranks every candidate.
        resamples: Bootstrap resamples of users.
        groups: By what the comparison is broken down: ``history`` of users, ``popularity``, ``price`` and ``style`` of
            items, and columns of the catalogue such as ``category``.
        adjust: How p-values allow for the number of models: ``holm`` or ``bh``.
        available_from: Catalogue column with the day from which an item could be shown; "" lets lists hold every item.
        as_of: Items are candidates that could be shown by the end of train (``train-end``) or of test (``test-end``).
        beyond: Also describe the lists beyond accuracy, and weigh choices by their chance to be in the log.
        sampled: Also rank each choice among so many drawn items, to compare with numbers of others; BIASED, 0: do not.
    """

    k: tuple[int, ...] = (10, 20)
    metrics: tuple[str, ...] = tuple(METRICS)
    resamples: int = 2000
    groups: tuple[str, ...] = ("history", "popularity", "category", "price", "style")
    adjust: Literal["holm", "bh"] = "holm"
    available_from: str = ""
    as_of: Literal["train-end", "test-end"] = "test-end"
    beyond: bool = True
    sampled: int = 0

    def __post_init__(self) -> None:
        known = (*RANKING, AUC)
        for name in self.metrics:
            if name not in known:
                raise ConfigError(f"evaluation.metrics: {unknown_name('metric', name, known)}")
        if self.sampled < 0 or (not self.beyond and (self.sampled or AUC in self.metrics)):
            raise ConfigError(
                f"evaluation.sampled must be >= 0, got {self.sampled}, and with auc it needs evaluation.beyond = true"
            )
        if "recall" not in self.metrics:
            raise ConfigError("evaluation.metrics must hold recall, by which the baseline is chosen; add it")
        if not self.k or min(self.k) < 1:
            raise ConfigError(f"evaluation.k must list numbers >= 1, got {list(self.k)}; write k = [10, 20]")
        if self.resamples < 100:
            raise ConfigError(f"evaluation.resamples must be >= 100, got {self.resamples}")


@dataclass(frozen=True)
class StudyConfig:
    """A whole study.

    Attributes:
        looks: Name → changes to the built-in look of that name, or a look of one's own.
        models: Name → options of the model; ``kind`` when the name is not the registered one, ``enabled = false``
            drops a default.
        rerank: Rules for the lists that `recommend` writes, in order: tables with a ``kind`` and its keys.
        seed: Of everything random that names no seed of its own.
    """

    catalog: CatalogConfig
    interactions: InteractionsConfig
    split: SplitConfig = field(default_factory=SplitConfig)
    looks: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {name: {} for name in DEFAULT_LOOKS})
    features: FeaturesConfig = field(default_factory=FeaturesConfig)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rerank: tuple[Mapping[str, Any], ...] = ()
    evaluation: EvaluationConfig = EvaluationConfig()
    ab: ABConfig = field(default_factory=ABConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"seed must be >= 0, got {self.seed}")
        steps_from(self.rerank)
        for name, model in self.make_models().items():
            if model.uses_features == "required" and not self.features.blocks:
                cure = f"name some under [features] or write enabled = false under [models.{name}]"
                raise ConfigError(f"[models.{name}] needs feature blocks and there are none; {cure}")

    def make_looks(self, base: Path) -> dict[str, Look]:
        """The looks, style images resolved against ``base``.

        Raises:
            ConfigError: An unknown key or a style image that does not exist.
        """
        return {name: look_from_mapping(name, table, base) for name, table in self.looks.items()}

    def make_models(self) -> dict[str, Recommender]:
        """The models' configurations by name.

        Raises:
            ConfigError: An unknown model or option.
        """
        tables = {name: dict(self.models.get(name, {})) for name in (*DEFAULT_MODELS, *self.models)}
        return {
            name: _make_model(name, table, self.seed) for name, table in tables.items() if table.pop("enabled", True)
        }


def _make_model(name: str, table: dict[str, Any], seed: int) -> Recommender:
    kind = table.pop("kind", name)
    known = names("models")
    if kind not in known:
        raise ConfigError(f"[models.{name}]: {unknown_name('model', kind, known)}")
    config = component("models", kind)
    if "seed" in {f.name for f in fields(config)}:
        table.setdefault("seed", seed)
    options = from_mapping(config, table, where=f"models.{name}")
    model: Recommender = options
    return model


def read_study(path: Path) -> StudyConfig:
    """Read and check a study file.

    Raises:
        ConfigError: Not TOML, or a key or value that is not understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"study file {path} does not exist; `stylerec run --help` shows a minimal one") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error}") from error
    config = parse_study(text)
    config.make_models()
    config.make_looks(path.parent)
    return config


def parse_study(text: str) -> StudyConfig:
    r"""A study file's text as a configuration; ``$NAME`` in paths is taken from the environment.

    Raises:
        ConfigError: Not TOML, an unknown key, a wrong type, an environment variable that is not set.

    Example:
        >>> study = parse_study('[catalog]\npath = "items.csv"\n[interactions]\npath = "sales.csv"')
        >>> sorted(study.looks)
        ['minimalist', 'retro']
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the study file is not valid TOML: {error}") from error
    for section in ("catalog", "interactions"):
        for key in ("path", "images"):
            if isinstance(table.get(section), dict) and isinstance(table[section].get(key), str):
                table[section][key] = _expand(table[section][key], f"{section}.{key}")
    return from_mapping(StudyConfig, table)


def _expand(path: str, where: str) -> str:
    found = os.path.expandvars(path)
    if found == path and re.match(r"\$\w|\$\{", path):
        raise ConfigError(f"{where}: the environment variable in {path!r} is not set; export it or write the path out")
    return found
