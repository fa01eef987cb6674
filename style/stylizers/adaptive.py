"""Neural style to order: the user says how far content or style may end, and weights are found picture by picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recsys.errors import ConfigError
from style.base import StylizerSpec
from style.perception import Maps
from style.stylizers.neural import NeuralStyle, Objective

QUICK, STEADY, REACH = 2.0, 0.2, 8.0
"""Of the controller: how log β follows the error at once and in the long run, and how far from its start it may go."""
STRETCH, HALVINGS = 2.0, 7
"""How far the change may be stretched or shrunk at the end to settle the level, and how finely."""
GENTLE: Mapping[str, Any] = {"learning_rate": 0.005, "tv_weight": 100.0}
"""Larger steps and rougher pictures reach the levels with dots, as Adam moves all pixels alike."""
USUAL = 0.3
"""The style level that nobody asked for."""
LEAN = 0.5
"""How much weight the style layers that lag behind take from those ahead; 0 leaves all alike."""


class AdaptiveStyle(NeuralStyle):
    """Neural style whose weights follow its losses, for each picture by itself, until it ends at an asked level.

    The balance of content and style is steered by a proportional-integral controller of the level's logarithm, the
    integral part being dual ascent on "end at this level" (Platt, Barr 1988, Constrained differential optimization).
    Style layers are balanced by how much of their first loss is left, r: those that lag weigh more, ∝ r^0.5, as in
    GradNorm (Chen, Badrinarayanan, Lee, Rabinovich 2018, eq. 2); it is their losses that are balanced, where GradNorm
    asks for the gradient of each layer's, which costs a backward pass a layer. What error is left at the end is
    settled by the size of the change, by a factor of two at most.

    Args:
        content_level: Where the relative content loss (see `Perception.parts`) shall end; 0 asks for nothing. Levels
            below 0.25 cannot be had of photos on white with EfficientNet-Lite0, to which a flicker of one 8-bit step
            is as much (measured: 0.08 to 0.26).
        style_level: Where the style loss shall end, as a share of the photo's own; 0 asks for nothing. Only one of
            the two can be asked for; without any it is 0.3. A level that no weights reach is approached.
        steps: Of Adam, whose rate falls to nothing so that the end is steady.
        options: Of `NeuralStyle`; ``content_weight`` and ``style_weight`` are the first balance, ``learning_rate``
            is 0.005 and ``tv_weight`` 100 unless given.

    Raises:
        ConfigError: A value out of range, or an unknown backbone or layer.
        MissingExtraError: The backbone's extra is not installed.
    """

    spec = StylizerSpec(
        name="adaptive",
        kind="network",
        extra="pretrained",
        weights_licence="Apache-2.0 upstream",
        about="neural style that ends at the content or style level you ask for, photo by photo; slow",
    )

    def __init__(
        self, *, content_level: float = 0.0, style_level: float = 0.0, steps: int = 100, **options: Any
    ) -> None:
        levels = content_level, style_level
        if all(levels) or not all(0 <= level < np.inf for level in levels):
            got = f"{content_level:g} and {style_level:g}"
            raise ConfigError(
                f"adaptive: give one of content_level and style_level, above 0, got {got}; omit the other"
            )
        if style_level >= 1:
            raise ConfigError(f"adaptive: style_level must be in 0..1, got {style_level:g}; 1 is the photo itself")
        if options.setdefault("optimiser", "adam") != "adam":
            raise ConfigError("adaptive: optimiser must be adam, as the loss changes on the way; omit it")
        super().__init__(**{**GENTLE, **options, "steps": steps})
        if not min(self.weights["content"], self.weights["style"]) > 0:
            raise ConfigError("adaptive: content_weight and style_weight must be > 0; they are where it starts")
        self.content_level, self.style_level = content_level, style_level if any(levels) else USUAL

    def descend(self, start: Tensor, grams: Maps, advance: Callable[[], None]) -> Tensor:
        """(n, 3, h, w) 0..1 → pictures at the level that was asked for, 0..1."""
        return self._settled(start, super().descend(start, grams, advance), grams)

    def objective(self, start: Tensor, grams: Maps) -> Objective:
        """A loss whose weights move each time it is asked: it belongs to one optimisation."""
        content, first = self.perception.targets(start), self._first(start, grams)
        balance = Balance.of(len(start), start.device)

        def loss(images: Tensor) -> Tensor:
            found, parts = self.perception.look(images, content)
            layers = self.perception.painted(found, grams)
            lag = (layers.detach() / first).clamp(min=1e-6) ** LEAN
            ratio = balance.follow(self._error(parts["content"].detach(), layers.detach(), first)).exp().sqrt()
            leaning = (layers * lag / lag.mean(dim=1, keepdim=True)).mean(dim=1)
            return self.weighted({**parts, "content": parts["content"] / ratio, "style": leaning * ratio})

        return loss

    @torch.no_grad()
    def _settled(self, start: Tensor, made: Tensor, grams: Maps) -> Tensor:
        """The change of each picture by the factor, of those tried, that ends nearest to the level."""
        content, first = self.perception.targets(start), self._first(start, grams)
        least, most = (made.new_full((len(made), 1, 1, 1), s) for s in (1 / STRETCH, STRETCH))
        best, nearest, factor = made, made.new_full(least.shape, torch.inf), torch.ones_like(least)
        for _ in range(HALVINGS + 1):
            images = (start + factor * (made - start)).clamp(0, 1)
            found, parts = self.perception.look(images, content)
            error = self._error(parts["content"], self.perception.painted(found, grams), first).view(-1, 1, 1, 1)
            closer = error.abs() < nearest
            best, nearest = torch.where(closer, images, best), torch.where(closer, error.abs(), nearest)
            least, most = torch.where(error > 0, factor, least), torch.where(error > 0, most, factor)
            factor = (least * most).sqrt()
        return best

    def _first(self, start: Tensor, grams: Maps) -> Tensor:
        """(n, layers) style losses of the photos themselves."""
        with torch.no_grad():
            found = self.perception.backbone.features(start, self.perception.style)
            return self.perception.painted(found, grams).clamp(min=1e-12)

    def _error(self, content: Tensor, layers: Tensor, first: Tensor) -> Tensor:
        """(n,) how much more style is wanted, as the logarithm of what is against what was asked."""
        if self.content_level:
            return -(content.clamp(min=1e-12) / self.content_level).log()
        return (layers.mean(dim=1).clamp(min=1e-12) / first.mean(dim=1) / self.style_level).log()

    def rate(self, step: int) -> float:
        """Adam's falls along a cosine to a twentieth: the end must be steady for its level to be the one asked."""
        return self.learning_rate * (0.05 + 0.475 * (1 + math.cos(math.pi * step / self.steps)))


@dataclass(eq=False)
class Balance:
    """log (β / α) of each picture against where it began, steered by how much more style is wanted.

    Attributes:
        lasting: (n,) its integral part.
    """

    lasting: Tensor

    @classmethod
    def of(cls, n: int, device: torch.device) -> Balance:
        """At its beginning."""
        return cls(torch.zeros(n, device=device))

    def follow(self, error: Tensor) -> Tensor:
        """(n,) the balance after an error (n,) was seen; large errors count as 1, as before anything was painted.

        Example:
            >>> balance = Balance.of(1, torch.device("cpu"))
            >>> [round(balance.follow(torch.tensor([0.5])).item(), 3) for _ in range(2)]
            [1.1, 1.2]
        """
        seen = error.clamp(-1, 1)
        self.lasting = (self.lasting + STEADY * seen).clamp(-REACH, REACH)
        return self.lasting + QUICK * seen
