"""Photos to a domain of pictures, one way, held to their content by contrast.

Source: Park, Efros, Zhang, Zhu (2020), Contrastive Learning for Unpaired Image-to-Image Translation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from style.backbone import load_backbone
from style.base import StylizerSpec
from style.frechet import distances
from style.losses import adversarial_loss, cycle_loss, patch_nce_loss
from style.perception import as_tensor
from style.trained import write_model
from style.training import Photos, descend
from style.translation import (
    BETAS,
    SIZES,
    Critic,
    Generator,
    Translator,
    averaged,
    check_options,
    doubt,
    split_style,
)

HEAD = 256
"""Dimensions in which places are compared, as in the paper."""


@dataclass(frozen=True)
class CutConfig:
    """How a domain is learned.

    Attributes:
        size: ``thin`` or ``full`` networks.
        nce_weight: Of every place being found again, in photos and in style pictures; 1 in the paper.
        places: Places of a picture that are compared with each other, >= 2; 256 in the paper.
        temperature: Of the comparison.
        learning_rate: Adam's; 2e-4 in the paper.
        backbone: What the distance to the domain is measured with, see `style.frechet`.
        weights: The backbone's file.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    size: str = "thin"
    nce_weight: float = 1.0
    places: int = 256
    temperature: float = 0.07
    learning_rate: float = 2e-4
    backbone: str = "efficientnet-lite0"
    weights: str = ""
    device: str = "auto"

    def __post_init__(self) -> None:
        positive = {"learning_rate": self.learning_rate, "temperature": self.temperature}
        check_options("cut", self.size, positive, {"nce_weight": self.nce_weight})
        if self.places < 2:
            raise ConfigError(f"cut: places must be >= 2, got {self.places}")


class PlaceHeads(nn.Module):
    """Brings activations of several layers into one space, each layer through two layers of its own.

    Args:
        widths: Channels of the layers.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        made = (nn.Sequential(nn.Linear(w, HEAD), nn.ReLU(), nn.Linear(HEAD, HEAD)) for w in widths)
        self.heads = nn.ModuleList(made)

    def forward(self, seen: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """(n, c, h, w) activations and (s,) places a layer → (n, s, 256) a layer."""
        chosen = (x.flatten(2)[:, :, place].transpose(1, 2) for x, place in zip(seen, places, strict=True))
        return [head(x) for head, x in zip(self.heads, chosen, strict=True)]


class CutTask:
    """Trains one generator and one critic.

    Args:
        config: How.
        styles: Domain B, at least 16 pictures, of which 8 are held out.
        seed: Of first weights and of what is held out.

    Raises:
        DataError: Too few style pictures.
    """

    def __init__(self, config: CutConfig, styles: Photos, *, seed: int = 0) -> None:
        self.config, self.styles = config, split_style("cut", styles, seed)
        self.backbone = load_backbone(config.backbone, weights=config.weights, device=config.device)
        width, blocks, critic = SIZES[config.size]
        device = self.backbone.mean.device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            generator, judge = Generator(width, blocks), Critic(critic)
            self.heads = PlaceHeads(generator.widths).to(device)
        self.generator, self.critic = (
            part.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for part in (generator, judge)
        )
        self.mean = averaged(self.generator)
        names = ("generator", "critic", "heads", "mean")
        self.modules: Mapping[str, nn.Module] = {name: getattr(self, name) for name in names}
        self.painters = [*self.generator.parameters(), *self.heads.parameters()]
        self.optimisers: Mapping[str, torch.optim.Optimizer] = {
            "generator": torch.optim.Adam(self.painters, lr=config.learning_rate, betas=BETAS),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=config.learning_rate, betas=BETAS),
        }
        # half of the contrast each to photos and to style pictures
        half = config.nce_weight / 2
        self.weights = {"adversarial": 1.0, "nce": half, "identity_nce": half}

    def step(self, photos: Tensor, rng: torch.Generator) -> dict[str, float]:
        """See `style.training.Task`."""
        n = len(photos)
        drawn = as_tensor(self.styles.draw(rng, n, photos.shape[2]), photos.device)
        both = torch.cat([photos, drawn]).contiguous(memory_format=torch.channels_last)
        seen = self.generator.seen(both)
        made = self.generator.painted(seen[-1], *both.shape[2:])
        nce = self.contrast(made, seen, rng)
        parts = {
            "adversarial": adversarial_loss(self.critic(made[:n]), real=True),
            "nce": nce[:n],
            "identity_nce": nce[n:],
        }
        loss = torch.stack([self.weights[k] * v.mean() for k, v in parts.items()]).sum()
        descend(self.optimisers["generator"], loss, self.painters)
        critic = doubt(self.critic, both[n:], made[:n])
        descend(self.optimisers["critic"], critic, self.critic.parameters())
        self.mean.update_parameters(self.generator)
        return {"loss": loss.item(), **{k: v.mean().item() for k, v in parts.items()}, "critic": critic.item()}

    def contrast(self, made: Tensor, seen: Sequence[Tensor], rng: torch.Generator) -> Tensor:
        """(n,) PatchNCE, eq. 4 as a mean over the generator's layers.

        Args:
            made: (n, 3, s, s) pictures.
            seen: What `Generator.seen` answered for the originals; no gradient goes into them.
            rng: Draws the places, the same in all pictures of a batch.
        """
        keys = [seen[tap].detach() for tap in self.generator.taps]
        found = self.generator.seen(made)
        queries = [found[tap] for tap in self.generator.taps]
        sizes = [key.shape[2] * key.shape[3] for key in keys]
        places = [torch.randperm(s, generator=rng)[: self.config.places].to(made.device) for s in sizes]
        with torch.no_grad():
            own = self.heads(keys, places)
        pairs = zip(self.heads(queries, places), own, strict=True)
        losses = [patch_nce_loss(query, key, self.config.temperature) for query, key in pairs]
        return torch.stack(losses).mean(dim=0)

    @torch.no_grad()
    def judge(self, photos: Tensor) -> dict[str, float]:
        """PatchNCE as a share of guessing, what style pictures lose, the FID to held-out ones, and the photos' own.

        ``loss`` is the share of the FID that is left, plus the PatchNCE: an adversarial loss cannot be compared over
        time, for the critic changes too.
        """
        styles = as_tensor(self.styles.held_out(photos.shape[2]), photos.device)
        made = self.mean(photos)
        nce = self.contrast(made, self.generator.seen(photos), torch.Generator().manual_seed(0)).mean().item()
        share = nce / math.log(min(self.config.places, photos.shape[2] * photos.shape[3] // 16))
        same = cycle_loss(styles, self.mean(styles)).mean().item()
        found = distances(self.backbone, photos, made, styles)
        return {"loss": found["fid_share"] + share, "nce": share, "identity": same, **found}

    @torch.no_grad()
    def sample(self, photos: Tensor) -> list[Tensor]:
        """The photos in the style."""
        return [self.mean(photos)]

    def export(self, out: Path, about: Mapping[str, Any]) -> None:
        """Write what `Cut` reads."""
        facts = {"size": self.config.size, "about": dict(about)}
        write_model(out, "cut", self.mean.module.state_dict(), facts)


class Cut(Translator):
    """Paints photos in the style of a domain it was trained for; see `style.translation.Translator`."""

    spec = StylizerSpec(
        name="cut",
        kind="network",
        needs=("training",),
        about="the manner of a whole set of pictures, trained without pairs, one way; quicker to train than cyclegan",
    )
