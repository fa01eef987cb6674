"""Back-off: the largest strength at which a restyled product is still the product on sale, by bisection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from style.base import Images
from style.draft import Draft
from style.guard import GuardConfig, judge, pixel_scores
from style.images import decode, encode_jpeg
from style.lab import Floats


@dataclass(frozen=True)
class Settled:
    """A picture as it will be shown.

    Attributes:
        data: As JPEG.
        scores: The guard's, of these bytes as a customer's browser decodes them.
        share: Of the look's strength that was taken (0..1).
        passed: Whether the guard accepts it.
    """

    data: bytes
    scores: dict[str, float]
    share: float
    passed: bool


def settle(
    draft: Draft, images: Images, alpha: Floats, guard: GuardConfig, *, steps: int = 0, quality: int = 90
) -> list[Settled]:
    """Each photo at its look's full strength, or at the largest share that passes the guard.

    The share is found by ``steps`` bisections of 0..1, of all photos that fail at once, so it is at most 1/2^steps
    below the largest that passes, if more strength never looks better to the guard. When not even 1/2^steps passes,
    that last picture comes back as refused. A look that leaves the product alone is not bisected: nothing would change.

    Args:
        draft: n photos in a look.
        images: (n, h, w, 3) uint8, as they were.
        alpha: (n, h, w) product masks.
        guard: The bounds.
        steps: Bisections; 0 takes the full strength whatever the guard says.
        quality: Of the JPEG.

    Example:
        >>> from style.look import look_from_mapping
        >>> from pathlib import Path
        >>> photo = np.full((1, 96, 64, 3), 250, np.uint8)
        >>> photo[0, 30:70, 20:44] = (60, 60, 180)
        >>> look = look_from_mapping("retro", {"grade": {"warmth": 1.0, "product": 1.0}}, Path())
        >>> draft, mask = look.draft(photo, ["a"]), np.zeros((1, 96, 64), np.float32)
        >>> mask[0, 32:68, 22:42] = 1
        >>> [settle(draft, photo, mask, look.guard, steps=n)[0].passed for n in (0, 5)]
        [False, True]
    """
    rows = np.arange(len(images))

    def tried(some: Sequence[int], shares: Floats) -> list[Settled]:
        data = [encode_jpeg(picture, quality) for picture in draft.at(some, shares.tolist())]
        return _judged(data, images[some], alpha[some], shares, guard)

    best = tried(rows.tolist(), np.ones(len(rows), np.float32)) if len(rows) else []
    failing = [i for i in rows.tolist() if not best[i].passed]
    if not steps or not failing or not draft.on_product:
        return best
    low, high = np.zeros(len(failing), np.float32), np.ones(len(failing), np.float32)
    for _ in range(steps):
        middle = np.asarray((low + high) / 2, np.float32)
        passed = np.zeros(len(failing), bool)
        for k, made in enumerate(tried(failing, middle)):
            passed[k] = made.passed
            if made.passed or not best[failing[k]].passed:  # of those that fail, the weakest is kept
                best[failing[k]] = made
        low, high = np.where(passed, middle, low), np.where(passed, high, middle)
    return best


def _judged(data: list[bytes], before: Images, alpha: Floats, shares: Floats, guard: GuardConfig) -> list[Settled]:
    after = np.stack([decode(one).pixels for one in data])
    scores = pixel_scores(before, after, alpha)
    accepted, _ = judge(scores, guard)
    rows = [{name: values[i].item() for name, values in scores.items()} for i in range(len(data))]
    return [
        Settled(*one) for one in zip(data, rows, (float(s) for s in shares), (bool(a) for a in accepted), strict=True)
    ]
