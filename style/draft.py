"""Photos in a look before it is settled how much of it each takes: the scenes and the stylizer's work are done once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from style.compose import Photo, Picture, compose, mixed, repaint
from style.lab import Floats
from style.scene import Grade

Region = Literal["background", "product", "all"]


@dataclass(frozen=True, eq=False)
class Draft:
    """One batch in one look.

    Attributes:
        photos: What is restyled.
        scenes: (3, h, w) behind each product.
        before: What the stylizer saw of each; empty without one.
        after: What it made of that.
        empty: Whether it saw the scenes without their products.
        region: What it may touch.
        strength: How much of its picture the look takes.
        keep_colour: Only lightness of it.
        grade: Film tone.
        studio: How much of the studio's own shadow stays.
    """

    photos: Sequence[Photo]
    scenes: Sequence[Floats]
    before: Sequence[Picture]
    after: Sequence[Picture]
    empty: bool
    region: Region
    strength: float
    keep_colour: bool
    grade: Grade
    studio: float

    @property
    def on_product(self) -> bool:
        """Whether the product's own pixels depend on the share that is taken."""
        return self.grade.product > 0 or (len(self.after) > 0 and self.region != "background")

    def at(self, rows: Sequence[int], shares: Sequence[float]) -> list[Picture]:
        """Pictures of some photos at ``shares`` (0..1) of the look's strength and of its grade on the product."""
        return [self._one(row, share) for row, share in zip(rows, shares, strict=True)]

    def _one(self, row: int, share: float) -> Picture:
        photo, ground = self.photos[row], self.scenes[row]
        grade = replace(self.grade, product=self.grade.product * share)
        if not len(self.after):
            return compose(photo, ground, grade, studio=self.studio)
        if self.empty:
            return compose(photo, self._mixed(self.before[row], row, share), grade, studio=self.studio)
        plain = compose(photo, ground, grade, studio=self.studio) if share < 1 else self.before[row]
        return repaint(photo, plain, self._mixed(plain, row, share), self.region)

    def _mixed(self, before: Picture, row: int, share: float) -> Floats:
        return mixed(before, self.after[row], self.strength * share, keep_colour=self.keep_colour)
