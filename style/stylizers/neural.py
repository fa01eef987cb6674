"""Neural style by optimisation: the picture itself is what is trained.

Source: Gatys, Ecker, Bethge (2016), Image Style Transfer Using Convolutional Neural Networks: L = α content + β style,
here with a total variation term, over any layers of any backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from recsys.errors import ConfigError
from recsys.models.crew import ALONE, Crew, crew
from recsys.progress import progress
from style.base import Images, StyleCode, StylizerSpec
from style.lbfgs import Evaluate, minimise
from style.perception import Maps, Perception, as_tensor, enlarged, resized

Objective = Callable[[Tensor], Tensor]
_TURN = Lock()
"""Optimisations take turns: each uses all cores, and how many torch may use is one number for all threads."""


class NeuralStyle:
    """Moves photos until their Gram matrices are the style's and their content is still their own.

    All pictures of a batch are optimised side by side, each on its own path: a batch of n is n batches of one, on a
    CPU bit for bit and whatever the number of threads, elsewhere but for the last bits of the convolutions.

    Args:
        content_weight: α, of what is shown.
        style_weight: β, of how it is painted.
        tv_weight: Of smoothness.
        steps: Of the optimiser.
        optimiser: ``lbfgs``, or ``adam``.
        learning_rate: Adam's, and the first step of L-BFGS, in values 0..1.
        backbone: See `style.backbone.load_backbone`.
        weights: The backbone's file.
        content_layers: Of the backbone; () takes its own.
        style_layers: Of the backbone; () takes its own.
        side: The longest side that is optimised; of a larger photo the change is enlarged and added.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ConfigError: A value out of range, or an unknown backbone or layer.
        MissingExtraError: The backbone's extra is not installed.
    """

    spec = StylizerSpec(
        name="neural_style",
        kind="network",
        extra="pretrained",
        weights_licence="Apache-2.0 upstream",
        about="texture and palette by optimisation, photo by photo; slow, and it repaints the product too",
    )

    def __init__(
        self,
        *,
        content_weight: float = 1.0,
        style_weight: float = 30.0,
        tv_weight: float = 5.0,
        steps: int = 60,
        optimiser: Literal["lbfgs", "adam"] = "lbfgs",
        learning_rate: float = 0.02,
        backbone: str = "efficientnet-lite0",
        weights: str = "",
        content_layers: tuple[str, ...] = (),
        style_layers: tuple[str, ...] = (),
        side: int = 384,
        device: str = "auto",
    ) -> None:
        self.weights: Mapping[str, float] = {"content": content_weight, "style": style_weight, "tv": tv_weight}
        for name, value in self.weights.items():
            if not 0 <= value < np.inf:
                raise ConfigError(f"neural_style: {name}_weight must be >= 0, got {value}")
        if steps < 1 or side < 16 or not 0 < learning_rate < np.inf:
            got = f"{steps}, {side} and {learning_rate}"
            raise ConfigError(f"neural_style: steps must be >= 1, side >= 16 and learning_rate > 0, got {got}")
        if optimiser not in ("lbfgs", "adam"):
            raise ConfigError(f"neural_style: optimiser must be lbfgs or adam, got {optimiser!r}")
        self.steps, self.optimiser, self.learning_rate, self.side = steps, optimiser, learning_rate, side
        self.perception = Perception.of(
            backbone, weights=weights, content=content_layers, style=style_layers, device=device
        )

    def encode(self, style: Images) -> StyleCode:
        """The mean Gram matrix of each style layer over (n, h, w, 3) style images."""
        grams = self.perception.grams(as_tensor(resized(style, self.side), self.perception.device))
        return StyleCode(self.spec.name, {name: gram.cpu().numpy() for name, gram in grams.items()})

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; it starts from the photo, so ``seed`` changes nothing.

        Raises:
            ConfigError: The code is of another stylizer or of other layers.
        """
        self.check(code)
        if not len(images):
            return images
        start = as_tensor(resized(images, self.side), self.perception.device)
        made = self.optimise(start, {k: torch.from_numpy(a).to(start.device) for k, a in code.arrays.items()})
        return enlarged((made - start).permute(0, 2, 3, 1).cpu().numpy() * 255, images)

    def check(self, code: StyleCode) -> None:
        """Refuse a code of another stylizer or of other layers.

        Raises:
            ConfigError: It is.
        """
        own = sorted(self.perception.style)
        if (found := sorted(code.read(self.spec.name))) != own:
            raise ConfigError(f"{self.spec.name}: the code has the layers {found}, expected {own}")

    def optimise(self, start: Tensor, grams: Maps) -> Tensor:
        """(n, 3, h, w) 0..1 → the pictures of least loss that were found, 0..1.

        On a CPU each core takes a picture through all steps: one picture's convolutions share cores badly, several on
        one core are no faster than one after another, and sums split among threads would lead pictures elsewhere.
        """
        if start.device.type != "cpu":
            return self._share([start], grams, ALONE)
        with _TURN, crew() as workers:
            return self._share(torch.split(start, 1), grams, workers)

    def _share(self, parts: Sequence[Tensor], grams: Maps, workers: Crew) -> Tensor:
        with progress(f"neural style, {sum(map(len, parts))} pictures", self.steps * len(parts)) as advance:
            return torch.cat(workers.map(lambda part: self.descend(part, grams, advance), parts))

    def objective(self, start: Tensor, grams: Maps) -> Objective:
        """What `optimise` lowers: pictures like ``start`` → (n,)."""
        target = self.perception.targets(start)
        return lambda images: self.loss(images, target, grams)

    def descend(self, start: Tensor, grams: Maps, advance: Callable[[], None]) -> Tensor:
        """What `optimise` does, on one thread; ``advance`` is called after each step."""
        objective = self.objective(start, grams)

        def evaluate(flat: Tensor) -> tuple[Tensor, Tensor]:
            x = flat.reshape(start.shape).requires_grad_()
            loss = objective(x)
            (gradient,) = torch.autograd.grad(loss.sum(), x)
            return loss.detach(), gradient.flatten(1)

        if self.optimiser == "lbfgs":
            flat = minimise(
                evaluate,
                start.flatten(1),
                self.steps,
                first_step=self.learning_rate,
                project=lambda x: x.clamp(0, 1),
                done=advance,
            )
        else:
            flat = self._adam(evaluate, start.flatten(1), advance)
        return flat.reshape(start.shape)

    def loss(self, images: Tensor, content: Maps, grams: Maps) -> Tensor:
        """(n,) α content + β style + γ total variation; see `Perception.parts`."""
        return self.weighted(self.perception.parts(images, content, grams))

    def weighted(self, parts: Maps) -> Tensor:
        """(n,) the sum of the terms by their weights."""
        return torch.stack([self.weights[name] * value for name, value in parts.items()]).sum(dim=0)

    def rate(self, step: int) -> float:
        """Adam's, at a step from 1 on."""
        return self.learning_rate

    def _adam(self, evaluate: Evaluate, start: Tensor, advance: Callable[[], None]) -> Tensor:
        """Adam, whose coordinates do not see each other, so pictures do not either (Kingma, Ba 2015)."""
        x, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
        for t in range(1, self.steps + 1):
            _, gradient = evaluate(x.detach())
            mean.lerp_(gradient, 0.1)
            square.lerp_(gradient.square(), 0.001)
            step = (mean / (1 - 0.9**t)) / ((square / (1 - 0.999**t)).sqrt() + 1e-12)
            x = (x - self.rate(t) * step).clamp(0, 1)
            advance()
        return x
