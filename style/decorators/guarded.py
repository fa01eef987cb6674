"""Decorators that judge: `Guard` takes as much of the style as passes, `Fallback` shows the original otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, StylerecError
from recsys.registry import component, create, names
from style.base import Encoder, Images
from style.decorators.base import Call, Painted
from style.decorators.blend import blend
from style.guard import GuardConfig, judge, pixel_scores
from style.images import resize
from style.lab import Floats
from style.masks import mask_source

Classifier = Callable[[Images], npt.NDArray[Any]]
"""(n, h, w, 3) photos → (n,) labels."""
RECLASSIFIED = "classified as something else"


@dataclass(frozen=True)
class Guard(GuardConfig):
    """Take the largest share of the style that passes, found by bisection; what fails even so has a reason.

    The share is at most 1/2^``steps`` below the largest that passes, if more style never looks better to the guard.
    A photo whose mask is below ``min_mask`` is judged as a whole.

    Attributes:
        steps: Bisections, 0..10; 0 judges the full share only.
        mask: How the product is told apart, see `style.masks.mask_source`; "" judges the whole picture.
        encoder: Registered encoder whose cosine ``min_cosine`` bounds; "" leaves that bound out.
        classifier: Photos → labels; the label of the restyled photo must be the original's. Python only.
    """

    steps: int = 5
    mask: str = "studio"
    encoder: str = ""
    classifier: Classifier | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.steps <= 10:
            raise ConfigError(f"guard.steps must be in 0..10, got {self.steps}")
        if self.mask:
            mask_source(self.mask)
        if self.encoder and self.encoder not in names("encoders"):
            component("encoders", self.encoder)

    def paint(self, call: Call) -> Painted:
        """Judge at full share, then bisect all that fail together."""
        painted = call.painted()
        n = len(call.images)
        judged = _Judge.of(self, call.images)
        shares = np.ones(n, np.float32)
        images, (passed, reasons, scores) = painted.images.copy(), judged(range(n), painted.images)
        low, high = np.zeros(n, np.float32), np.ones(n, np.float32)
        failing = np.flatnonzero(~passed)
        for _ in range(self.steps if len(failing) else 0):
            middle = np.asarray((low + high)[failing] / 2, np.float32)
            tried = blend(call.images[failing], painted.images[failing], middle)
            good, why, found = judged(failing.tolist(), tried)
            better = good | ~passed[failing]  # of what never passes, the weakest is kept
            rows = failing[better]
            images[rows], shares[rows] = tried[better], middle[better]
            passed[rows] = good[better]
            for name, values in found.items():
                scores[name][rows] = values[better]
            for k in np.flatnonzero(better).tolist():
                reasons[failing[k]] = why[k]
            low[failing], high[failing] = np.where(good, middle, low[failing]), np.where(good, high[failing], middle)
        told = tuple(old or new for old, new in zip(painted.reasons, reasons, strict=True))
        return Painted(images, painted.shares * shares, told, scores)

    def marks(self) -> list[str]:
        """Hash of the mask's model, if it has one."""
        return mask_source(self.mask).marks() if self.mask else []


@dataclass(frozen=True)
class _Judge:
    """The originals and what is known of them."""

    guard: Guard
    before: Images
    alpha: Floats
    encoder: Encoder | None
    seen: Floats | None
    labels: npt.NDArray[Any] | None

    @classmethod
    def of(cls, guard: Guard, images: Images) -> _Judge:
        alpha = np.ones(images.shape[:3], np.float32)
        if guard.mask:
            cut = mask_source(guard.mask).cut(images)
            alpha = np.where((cut.confidence >= guard.min_mask)[:, None, None], cut.alpha, np.float32(1))
        encoder = create("encoders", guard.encoder) if guard.encoder else None
        seen = None if encoder is None else _unit(encoder, images)
        labels = None if guard.classifier is None else np.asarray(guard.classifier(images))
        return cls(guard, images, alpha, encoder, seen, labels)

    def __call__(
        self, rows: Sequence[int], images: Images
    ) -> tuple[npt.NDArray[np.bool_], list[str], dict[str, Floats]]:
        """Which of some pictures pass, why the others do not, and their scores."""
        some = list(rows)
        scores = pixel_scores(self.before[some], images, self.alpha[some])
        if self.encoder is not None and self.seen is not None:
            scores["cosine"] = (_unit(self.encoder, images) * self.seen[some]).sum(axis=1)
        passed, reasons = judge(scores, self.guard)
        if self.guard.classifier is not None and self.labels is not None:
            same = np.asarray(self.guard.classifier(images)) == self.labels[some]
            reasons = [why or ("" if ok else RECLASSIFIED) for why, ok in zip(reasons, same, strict=True)]
            passed = passed & same
        return passed, reasons, scores


def _unit(encoder: Encoder, images: Images) -> Floats:
    rows = encoder.encode(resize(images, encoder.size))
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


@dataclass(frozen=True)
class Fallback:
    """Show the original, and keep the reason, where a picture may not be shown or cannot be made.

    Where the stylizer refuses a batch, each photo is tried alone, so that one bad photo costs one original.
    """

    def paint(self, call: Call) -> Painted:
        """The pictures, or the photos."""
        try:
            painted = call.painted()
        except StylerecError as error:
            if len(call.images) > 1:
                return _joined([self.paint(call.take([i])) for i in range(len(call.images))])
            return Painted(call.images.copy(), np.zeros(1, np.float32), (str(error) or type(error).__name__,))
        failed = np.array([bool(reason) for reason in painted.reasons])
        images = np.where(failed[:, None, None, None], call.images, painted.images)
        return replace(painted, images=images, shares=np.where(failed, np.float32(0), painted.shares))


def _joined(parts: Sequence[Painted]) -> Painted:
    shared = set.intersection(*(set(part.scores) for part in parts))
    return Painted(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.shares for part in parts]),
        tuple(reason for part in parts for reason in part.reasons),
        {name: np.concatenate([part.scores[name] for part in parts]) for name in sorted(shared)},
    )
