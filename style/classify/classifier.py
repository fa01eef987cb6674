"""A fitted classifier of photos: scaled blocks times weights, calibrated; saved without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from recsys.data.features import FeatureTable
from recsys.errors import ArtifactError, ConfigError
from recsys.files import stable_hash, write_bytes
from style.classify.calibration import Calibration
from style.classify.logistic import LINKS, Link, Values
from style.classify.predictions import Predictions
from style.classify.scaling import Scaling

FORMAT = 1
FILE = "classifier.safetensors"
KEYS = {"format", "classes", "link", "blocks", "dims", "temperature", "about"}
ARRAYS = {"mean", "scale", "weight", "bias", "shift", "thresholds"}


@dataclass(frozen=True, eq=False)
class Classifier:
    """From feature blocks to probabilities of classes. Every way to learn (see `docs/classify.md`) ends in one.

    Attributes:
        classes: k names.
        scaling: Which blocks are read, and how.
        weight: (d, k).
        bias: (k,).
        link: ``softmax``: one class an item; ``sigmoid``: any number.
        calibration: From logits to probabilities.
        thresholds: (k,) least probability at which a class is named.
        about: How it was learned; plain values.

    Raises:
        ConfigError: Parts that do not fit together, or values that are not finite.
    """

    classes: tuple[str, ...]
    scaling: Scaling
    weight: Values
    bias: Values
    link: Link
    calibration: Calibration
    thresholds: Values
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        k, d = len(self.classes), len(self.scaling.mean)
        shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
            "weight": (self.weight, (d, k)),
            "bias": (self.bias, (k,)),
            "shift": (self.calibration.shift, (k,)),
            "thresholds": (self.thresholds, (k,)),
            "scale": (self.scaling.scale, (d,)),
            "mean": (self.scaling.mean, (sum(self.scaling.dims),)),
        }
        for name, (array, shape) in shapes.items():
            if array.shape != shape or not np.isfinite(array).all():
                raise ConfigError(f"{name} of a classifier must be finite and {shape}, got shape {array.shape}")
        if self.link not in LINKS or not 0 < self.calibration.temperature < np.inf or len(set(self.classes)) != k:
            raise ConfigError(
                f"a classifier cannot have link {self.link!r}, {self.calibration}, classes {self.classes}"
            )

    def logits(self, table: FeatureTable) -> Values:
        """(n, k) before calibration.

        Raises:
            DataError: A block that it reads is missing or has another width.
        """
        parts = [part @ self.weight + self.bias for part in self.scaling.chunks(table)]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes)))

    def predict(self, table: FeatureTable) -> Predictions:
        """Probabilities of every class for every item of ``table``."""
        chances = self.calibration.probabilities(self.logits(table), self.link)
        return Predictions(table.ids, self.classes, chances, self.thresholds, self.link, self.mark)

    def abstaining(self, threshold: float) -> Classifier:
        """The same, naming a class only from this probability on.

        Raises:
            ConfigError: Outside of 0 … 1.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold must be in 0 … 1, got {threshold}")
        return replace(self, thresholds=np.full(len(self.classes), float(threshold)))

    @property
    def mark(self) -> str:
        """A hash of everything that decides its answers."""
        return stable_hash([self._facts(), {name: a.tobytes().hex() for name, a in self._arrays().items()}])[:16]

    def save(self, folder: Path) -> None:
        """Write ``classifier.safetensors`` into ``folder``, whole or not at all: arrays, with JSON as metadata."""
        arrays = {name: np.ascontiguousarray(a) for name, a in self._arrays().items()}
        told = json.dumps(self._facts() | {"about": dict(self.about)}, ensure_ascii=False, allow_nan=False)
        write_bytes(
            Path(folder) / FILE, safetensors.numpy.save(arrays, metadata={"classifier": told, "mark": self.mark})
        )

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Read what `save` wrote; nothing of it is executed.

        Raises:
            ArtifactError: Missing, damaged, changed since, or of a format or with a key that is not known.
        """
        path = Path(folder) / FILE
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            facts = json.loads(metadata["classifier"])
        except FileNotFoundError as error:
            raise ArtifactError(f"{path} does not exist; `stylerec style classify train` makes one") from error
        except (safetensors.SafetensorError, OSError, KeyError, json.JSONDecodeError, RecursionError) as error:
            raise ArtifactError(f"{path} holds no classifier ({error}); train it again") from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise ArtifactError(f"{path} is not of format {FORMAT}, the only one this version reads; train it again")
        if set(facts) != KEYS or set(arrays) != ARRAYS:
            other = sorted((set(facts) ^ KEYS) | (set(arrays) ^ ARRAYS))
            raise ArtifactError(f"{path} lacks or has besides: {', '.join(other)}; train it again")
        try:
            made = cls._from(facts, arrays)
        except (ConfigError, TypeError, ValueError) as error:
            raise ArtifactError(f"{path} is damaged ({error}); train it again") from error
        if metadata.get("mark") != made.mark:
            raise ArtifactError(f"{path} was changed after it was written (its mark does not fit); train it again")
        return made

    @classmethod
    def _from(cls, facts: dict[str, Any], arrays: dict[str, Any]) -> Classifier:
        scaling = Scaling(tuple(facts["blocks"]), tuple(facts["dims"]), arrays["mean"], arrays["scale"])
        calibration = Calibration(float(facts["temperature"]), arrays["shift"])
        parts = arrays["weight"], arrays["bias"], facts["link"], calibration, arrays["thresholds"]
        return cls(tuple(facts["classes"]), scaling, *parts, facts["about"])

    def _arrays(self) -> dict[str, Any]:
        scaling = {"mean": self.scaling.mean, "scale": self.scaling.scale}
        shift, thresholds = self.calibration.shift, self.thresholds
        return scaling | {"weight": self.weight, "bias": self.bias, "shift": shift, "thresholds": thresholds}

    def _facts(self) -> dict[str, Any]:
        read = {"blocks": list(self.scaling.blocks), "dims": list(self.scaling.dims)}
        how = {"link": self.link, "temperature": self.calibration.temperature}
        return {"format": FORMAT, "classes": list(self.classes), **read, **how}
