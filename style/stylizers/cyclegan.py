"""Photos to a domain of pictures and back, without pairs.

Source: Zhu, Park, Isola, Efros (2017), Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from style.backbone import load_backbone
from style.base import StylizerSpec
from style.frechet import distances
from style.losses import adversarial_loss, cycle_loss
from style.perception import as_tensor
from style.trained import write_model
from style.training import Photos, descend
from style.translation import (
    BETAS,
    SIZES,
    Critic,
    Generator,
    ImagePool,
    Translator,
    averaged,
    check_options,
    doubt,
    split_style,
)


@dataclass(frozen=True)
class CycleGanConfig:
    """How two domains learn from each other.

    Attributes:
        size: ``thin`` or ``full`` networks.
        cycle_weight: Of coming back to where one started; 10 in the paper.
        identity_weight: Of leaving pictures that are of the domain already as they are; 5 in the paper, where
            colours were to be kept.
        learning_rate: Adam's; 2e-4 in the paper.
        backbone: What the distance to the domain is measured with, see `style.frechet`.
        weights: The backbone's file.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    size: str = "thin"
    cycle_weight: float = 10.0
    identity_weight: float = 1.0
    learning_rate: float = 2e-4
    backbone: str = "efficientnet-lite0"
    weights: str = ""
    device: str = "auto"

    def __post_init__(self) -> None:
        weights = {"cycle_weight": self.cycle_weight, "identity_weight": self.identity_weight}
        check_options("cyclegan", self.size, {"learning_rate": self.learning_rate}, weights)


class CycleGanTask:
    """Trains a generator and a critic each way.

    Args:
        config: How.
        styles: Domain B, at least 16 pictures, of which 8 are held out.
        seed: Of first weights and of what is held out.

    Raises:
        DataError: Too few style pictures.
    """

    def __init__(self, config: CycleGanConfig, styles: Photos, *, seed: int = 0) -> None:
        self.config, self.styles = config, split_style("cyclegan", styles, seed)
        self.backbone = load_backbone(config.backbone, weights=config.weights, device=config.device)
        width, blocks, critic = SIZES[config.size]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts = [Generator(width, blocks), Generator(width, blocks), Critic(critic), Critic(critic)]
        device = self.backbone.mean.device
        self.there, self.back, self.critic_a, self.critic_b = (
            part.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for part in parts
        )
        self.pool_a, self.pool_b = ImagePool().to(device), ImagePool().to(device)
        self.mean_there, self.mean_back = averaged(self.there), averaged(self.back)
        names = ("there", "back", "critic_a", "critic_b", "pool_a", "pool_b", "mean_there", "mean_back")
        self.modules: Mapping[str, nn.Module] = {name: getattr(self, name) for name in names}
        self.painters = [*self.there.parameters(), *self.back.parameters()]
        self.judges = [*self.critic_a.parameters(), *self.critic_b.parameters()]
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "generators": torch.optim.Adam(self.painters, lr=config.learning_rate, betas=BETAS),
            "critics": torch.optim.Adam(self.judges, lr=config.learning_rate, betas=BETAS),
        }
        self.weights = {"adversarial": 1.0, "cycle": config.cycle_weight, "identity": config.identity_weight}

    def step(self, photos: Tensor, rng: torch.Generator) -> dict[str, float]:
        """See `style.training.Task`."""
        drawn = as_tensor(self.styles.draw(rng, len(photos), photos.shape[2]), photos.device)
        a, b = (x.contiguous(memory_format=torch.channels_last) for x in (photos, drawn))
        parts, to_a, to_b = self._painted(a, b)
        loss = torch.stack([self.weights[k] * v.mean() for k, v in parts.items()]).sum()
        descend(self.optimisers["generators"], loss, self.painters)
        old_a, old_b = self.pool_a.exchange(to_a, rng), self.pool_b.exchange(to_b, rng)
        critics = doubt(self.critic_a, a, old_a) + doubt(self.critic_b, b, old_b)
        descend(self.optimisers["critics"], critics, self.judges)
        self.mean_there.update_parameters(self.there)
        self.mean_back.update_parameters(self.back)
        return {"loss": loss.item(), **{k: v.mean().item() for k, v in parts.items()}, "critics": critics.item()}

    def _painted(self, a: Tensor, b: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The generators' losses, (n,) each, eqs. 1-3 and section 5.2; A as made from B, B as made from A."""
        to_b, same_b = self.there(torch.cat([a, b])).split(len(a))
        to_a, same_a = self.back(torch.cat([b, a])).split(len(a))
        deceived = (adversarial_loss(c(x), real=True) for c, x in ((self.critic_b, to_b), (self.critic_a, to_a)))
        parts = {
            "adversarial": sum(deceived, a.new_zeros(())),
            "cycle": cycle_loss(a, self.back(to_b)) + cycle_loss(b, self.there(to_a)),
            "identity": cycle_loss(b, same_b) + cycle_loss(a, same_a),
        }
        return parts, to_a, to_b

    @torch.no_grad()
    def judge(self, photos: Tensor) -> dict[str, float]:
        """Cycle and identity losses both ways, the FID to held-out style pictures, and the photos' own.

        ``loss`` is the share of the FID that is left, plus the cycle loss: an adversarial loss cannot be compared over
        time, for the critic changes too.
        """
        styles = as_tensor(self.styles.held_out(photos.shape[2]), photos.device)
        made, away = self.mean_there(photos), self.mean_back(styles)
        cycle = cycle_loss(photos, self.mean_back(made)).mean() + cycle_loss(styles, self.mean_there(away)).mean()
        same = cycle_loss(styles, self.mean_there(styles)).mean() + cycle_loss(photos, self.mean_back(photos)).mean()
        found = distances(self.backbone, photos, made, styles)
        return {"loss": found["fid_share"] + cycle.item(), "cycle": cycle.item(), "identity": same.item(), **found}

    @torch.no_grad()
    def sample(self, photos: Tensor) -> list[Tensor]:
        """The photos in the style, and back again."""
        made = self.mean_there(photos)
        return [made, self.mean_back(made)]

    def export(self, out: Path, about: Mapping[str, Any]) -> None:
        """Write what `CycleGan` reads: the way into the style."""
        facts = {"size": self.config.size, "about": dict(about)}
        write_model(out, "cyclegan", self.mean_there.module.state_dict(), facts)


class CycleGan(Translator):
    """Paints photos in the style of a domain it was trained for; see `style.translation.Translator`."""

    spec = StylizerSpec(
        name="cyclegan",
        kind="network",
        needs=("training",),
        about="the manner of a whole set of pictures, trained without pairs and able to find the way back",
    )
