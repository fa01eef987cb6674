"""Where to look for a model's options: ranges as a table, and which of them matter on the data at hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.errors import ConfigError, unknown_name
from recsys.models.base import Recommender

DIGITS = 4
"""Significant digits of a drawn number: what is written down is exactly what was tried."""


@dataclass(frozen=True)
class Real:
    """A number in [low, high]; ``log``: equally likely by factors, not by differences."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (self.low < self.high and (self.low > 0 or not self.log)):
            raise ConfigError(f"a range needs low < high, and low > 0 by factors, got {self.low} to {self.high}")

    def suggest(self, trial: Any, name: str) -> float:
        """One drawn by an Optuna trial."""
        return float(f"{trial.suggest_float(name, self.low, self.high, log=self.log):.{DIGITS}g}")

    def __str__(self) -> str:
        return f"{self.low:g} – {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]; ``log`` as in `Real`."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        Real(self.low, self.high, self.log)

    def suggest(self, trial: Any, name: str) -> int:
        """One drawn by an Optuna trial."""
        return int(trial.suggest_int(name, self.low, self.high, log=self.log))

    def __str__(self) -> str:
        return f"{self.low} – {self.high}, whole{', log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of these."""

    values: tuple[str | int, ...]

    def suggest(self, trial: Any, name: str) -> str | int:
        """One drawn by an Optuna trial."""
        found: str | int = trial.suggest_categorical(name, self.values)
        return found

    def __str__(self) -> str:
        return ", ".join(map(str, self.values))


Range = Real | Whole | Choice
Space = Mapping[str, Range]

FACTORS = Whole(8, 256, log=True)
PICTURES: Space = {
    "max_dims": Choice((32, 64, 128, 256)),
    "whitening": Real(0, 1),
    "weights": Real(0.1, 3, log=True),
}
"""How blocks are looked at; ``weights`` stands for one number a block."""
SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "popularity": {"half_life_days": Real(1, 1000, log=True)},
        "als": {"factors": FACTORS, "regularization": Real(1e-3, 100, log=True), "alpha": Real(0.1, 100, log=True)},
        "item-knn": {"k": Whole(5, 500, log=True), "weighting": Choice(("cosine", "count", "bm25"))},
        "ease": {"l2": Real(1, 10_000, log=True)},
        "bpr": {
            "factors": FACTORS,
            "learning_rate": Real(1e-3, 0.2, log=True),
            "regularization": Real(1e-4, 0.1, log=True),
            "epochs": Whole(10, 200, log=True),
        },
        "lightfm": {
            "factors": Whole(8, 128, log=True),
            "loss": Choice(("warp", "bpr", "logistic")),
            "epochs": Whole(3, 40, log=True),
            "learning_rate": Real(0.01, 0.2, log=True),
            "item_l2": Real(1e-7, 1e-3, log=True),
            "user_l2": Real(1e-7, 1e-3, log=True),
            **PICTURES,
        },
        "content": PICTURES,
        "hybrid": {
            "factors": Choice((16, 32, 64, 128)),
            "learning_rate": Real(0.01, 0.3, log=True),
            "l2": Real(0.03, 30, log=True),
            "l2_features": Real(0.03, 30, log=True),
            "id_dropout": Real(0.1, 0.9),
            **PICTURES,
        },
        "feature-als": {
            "factors": FACTORS,
            "regularization": Real(1e-3, 0.3, log=True),
            "unobserved_weight": Real(3e-3, 1, log=True),
            "frequency_scaling": Real(0, 1),
            "feature_l2": Real(0.1, 1000, log=True),
            "confidence": Choice(("linear", "log")),
            **PICTURES,
        },
        "vbpr": {
            "factors": Choice((8, 16, 32, 64)),
            "visual_factors": Choice((8, 16, 32, 64)),
            "epochs": Whole(3, 60, log=True),
            "learning_rate": Real(0.01, 0.3, log=True),
            "l2": Real(0.01, 10, log=True),
            "l2_features": Real(0.03, 30, log=True),
            **PICTURES,
        },
        "deepstyle": {
            "factors": Choice((16, 32, 64, 128)),
            "epochs": Whole(3, 60, log=True),
            "learning_rate": Real(0.01, 0.3, log=True),
            "l2": Real(0.01, 10, log=True),
            "l2_features": Real(0.03, 30, log=True),
            **PICTURES,
        },
    }
)
NEED_FEATURES = {"l2_features", "id_dropout", "feature_l2"}
NEED_EMBEDDING = {"max_dims", "whitening"}


def kind_of(config: Recommender) -> str:
    """The registered name of a model's configuration."""
    name: str = getattr(getattr(config, "fitted", None), "model", type(config).__name__)
    return name


def space_of(config: Recommender, table: FeatureTable) -> dict[str, Range]:
    """The ranges that matter with these item features; ``weights.NAME`` for each block where there are several.

    Raises:
        ConfigError: The model has no ranges.

    Example:
        >>> from recsys.data import IdMap
        >>> from recsys.models.hybrid import HybridModel
        >>> list(space_of(HybridModel(), FeatureTable(IdMap.of([]))))
        ['factors', 'learning_rate', 'l2']
    """
    kind = kind_of(config)
    if kind == "ensemble":
        raise ConfigError("ensemble finds its own weights; tune its members, each by its name")
    if kind not in SPACES:
        raise ConfigError(f"{unknown_name('model to tune', kind, SPACES)}; pass a space of your own")
    blocks = used_blocks(config, table)
    found: dict[str, Range] = {}
    for name, span in SPACES[kind].items():
        if name == "weights":
            found |= {f"weights.{b.name}": span for b in blocks} if len(blocks) > 1 else {}
        elif _matters(name, blocks, getattr(config, "raw", ())):
            found[name] = span
    return found


def used_blocks(config: Recommender, table: FeatureTable) -> tuple[FeatureBlock, ...]:
    """The item blocks that the model would look at."""
    if config.uses_features == "no":
        return ()
    chosen = getattr(config, "blocks", None)
    if chosen is None or (not chosen and config.uses_features == "required"):
        return table.blocks
    return table.select(chosen).blocks


def _matters(name: str, blocks: tuple[FeatureBlock, ...], raw: tuple[str, ...]) -> bool:
    if name in NEED_EMBEDDING:
        return any(b.columns is None and not b.is_sparse and b.name not in raw for b in blocks)
    return bool(blocks) or name not in NEED_FEATURES


def with_options(config: Recommender, options: Mapping[str, Any]) -> Recommender:
    """The configuration with other options; ``weights.NAME`` is one block's.

    Raises:
        ConfigError: An option does not exist or is out of range.
    """
    plain = {name: value for name, value in options.items() if "." not in name}
    weights = {name.partition(".")[2]: value for name, value in options.items() if name.startswith("weights.")}
    if weights:
        plain["weights"] = {**getattr(config, "weights", {}), **weights}
    try:
        return dataclasses.replace(config, **plain)  # type: ignore[type-var]
    except TypeError as error:
        raise ConfigError(f"{kind_of(config)}: {error}") from error
