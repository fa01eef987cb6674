"""What translations between two sets of pictures have in common: networks, a pool, and the stylizer they become.

No picture of one set has a counterpart in the other: domain A are the photos, domain B the pictures of a style.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from recsys.errors import ConfigError, DataError
from style.base import Images, StyleCode, StylizerSpec
from style.encoders.trunk import choose_device
from style.losses import adversarial_loss
from style.networks import PaintNetwork
from style.perception import as_tensor, enlarged, resized
from style.trained import damaged, fingerprint, read_model
from style.training import HELD_OUT, Photos

SIZES: Mapping[str, tuple[int, int, int]] = {"full": (32, 6, 64), "thin": (16, 3, 32)}
"""Width and residual blocks of a generator, width of a critic."""
POOL = 50
"""As in CycleGAN."""
BETAS = (0.5, 0.999)
"""Adam's, as in CycleGAN and CUT."""
DECAY = 0.99
"""Of the averaged weights, a step."""
MICRO_BATCH = 4


class Generator(nn.Module):
    """The layers of a `PaintNetwork` of one style, with activations that can be read.

    Other than there, the picture is not added at the end, as in CycleGAN and CUT: a generator that starts as it is
    held there by its cycle and never leaves (measured: after 500 steps the critic was always right).

    Args:
        width: Channels of the first layer.
        blocks: Residual blocks.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.paint = PaintNetwork(1, width, blocks)
        nn.init.normal_(self.paint.out.weight, 0.0, 0.02)
        middle = 3 + (blocks + 1) // 2
        self.taps = tuple(dict.fromkeys((0, 2, 3, middle, 3 + blocks)))
        """Which of `seen` a contrastive loss compares: colours, both reductions, residual blocks; CUT's choice."""
        self.widths = tuple((3, width, 2 * width)[tap] if tap < 3 else 4 * width for tap in self.taps)

    def seen(self, images: Tensor) -> list[Tensor]:
        """Activations of (n, 3, h, w) 0..1: the picture itself, three reductions, each residual block."""
        h, w = images.shape[2:]
        x = functional.pad(images, [0, -w % 4, 0, -h % 4], mode="replicate") * 2 - 1
        found, mix = [x], _whole(x)
        for layer in self.paint.down:
            x = functional.relu(layer(x, mix))
            found.append(x)
        for block in self.paint.body:
            x = block(x, mix)
            found.append(x)
        return found

    def painted(self, deepest: Tensor, height: int, width: int) -> Tensor:
        """(n, 3, height, width) 0..1: what is made of the last of `seen`."""
        x, mix = deepest, _whole(deepest)
        for layer in self.paint.up:
            x = functional.relu(layer(x, mix))
        made = torch.tanh(self.paint.out(functional.pad(x, [4] * 4, mode="reflect")))
        return (made[:, :, :height, :width] + 1) / 2

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) 0..1 → (n, 3, h, w) 0..1; any h, w >= 16."""
        return self.painted(self.seen(images)[-1], *images.shape[2:])


class Critic(nn.Module):
    """Says of every field of 70 x 70 pixels how much it looks like a domain's: a PatchGAN.

    Source: Isola et al. (2017), Image-to-Image Translation with Conditional Adversarial Networks, section 6.1.2:
    C64-C128-C256-C512, the first without normalisation.

    Args:
        width: Channels of the first layer; 64 in the paper.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, after, stride in zip(widths, widths[1:], (2, 2, 1), strict=False):
            layers += [nn.Conv2d(before, after, 4, stride, 1), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        for part in self.layers:
            if isinstance(part, nn.Conv2d):
                nn.init.normal_(part.weight, 0.0, 0.02)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) 0..1, h and w >= 32 → (n, 1, h', w') answers, 1 for real."""
        answers: Tensor = self.layers(images * 2 - 1)
        return answers


class ImagePool(nn.Module):
    """Made pictures of earlier steps, so that a critic does not forget them.

    Source: Shrivastava et al. (2017), Learning from Simulated and Unsupervised Images, section 2.3. It is a module, so
    that checkpoints hold it.

    Args:
        capacity: Pictures it keeps.
    """

    pictures: Tensor

    def __init__(self, capacity: int = POOL) -> None:
        super().__init__()
        self.capacity = capacity
        self.register_buffer("pictures", torch.empty(0))

    def exchange(self, made: Tensor, rng: torch.Generator) -> Tensor:
        """(n, 3, s, s): each picture itself, or with chance 1/2 an older one in whose place it is kept.

        Until the pool is full, pictures are kept and come back themselves.
        """
        made = made.detach()
        free = self.capacity - len(self.pictures)
        self.pictures = torch.cat([self.pictures, made[:free]]) if len(self.pictures) else made[:free].clone()
        late = made[free : free + self.capacity]
        places = torch.randperm(self.capacity, generator=rng)[: len(late)].to(made.device)
        swap = (torch.rand(len(late), generator=rng) < 0.5).to(made.device)
        own, place = swap.nonzero()[:, 0], places[swap]
        out = made.clone()
        out[free + own] = self.pictures[place]
        self.pictures[place] = late[own]
        return out

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """A checkpoint's pool is taken with its size: how large pictures are is known from the first step on only."""
        self.pictures = torch.empty_like(state_dict[f"{prefix}pictures"], device=self.pictures.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def averaged(network: nn.Module) -> AveragedModel:
    """A running mean of a network's weights, which stands in for a learning rate that falls towards a known end."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY))  # type: ignore[no-untyped-call]


def doubt(critic: Critic, real: Tensor, made: Tensor) -> Tensor:
    """Half of what a critic gets wrong of real and of made pictures (n, 3, h, w), one pass for both.

    Source: Zhu et al. (2017), Unpaired Image-to-Image Translation, eq. 1 as least squares.
    """
    true, false = critic(torch.cat([real, made.detach()])).split(len(real))
    return (adversarial_loss(true, real=True) + adversarial_loss(false, real=False)).mean() / 2


def split_style(kind: str, styles: Photos, seed: int) -> Photos:
    """Domain B in an order of its own, 8 of its pictures held out.

    Raises:
        DataError: There are fewer than 16.
    """
    if len(styles.names) < 2 * HELD_OUT:
        raise DataError(
            f"{kind}: give at least {2 * HELD_OUT} style pictures, got {len(styles.names)}; cut large ones into parts, "
            "or use feedforward, which takes a single one"
        )
    order = np.random.default_rng([seed, 3]).permutation(len(styles.names))
    return replace(styles, names=[styles.names[i] for i in order], held=HELD_OUT)


def check_options(kind: str, size: str, positive: Mapping[str, float], weights: Mapping[str, float]) -> None:
    """Refuse options out of range.

    Raises:
        ConfigError: One is.
    """
    if size not in SIZES:
        raise ConfigError(f"{kind}: size must be {' or '.join(SIZES)}, got {size!r}")
    for name, value in positive.items():
        if not 0 < value < np.inf:
            raise ConfigError(f"{kind}: {name} must be > 0, got {value}")
    for name, value in weights.items():
        if not 0 <= value < np.inf:
            raise ConfigError(f"{kind}: {name} must be >= 0, got {value}")


class Translator:
    """A stylizer that knows one style: the domain it was trained for. Subclasses give ``spec``.

    Args:
        model: The folder the training wrote.
        side: The longest side that is painted; of a larger photo the change is enlarged and added.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ArtifactError: There is no such model, or it is damaged.
        ConfigError: No model is given.
    """

    spec: ClassVar[StylizerSpec]

    def __init__(self, model: str = "", *, side: int = 512, device: str = "auto") -> None:
        if side < 16:
            raise ConfigError(f"{self.spec.name}: side must be >= 16, got {side}")
        manifest, tensors = read_model(Path(model), self.spec.name)
        try:
            network = Generator(*SIZES[manifest["size"]][:2])
            network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError) as error:
            raise damaged(Path(model), error) from error
        self.manifest, self.side, self.device = manifest, side, torch.device(choose_device(device))
        self.network = network.eval().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def fingerprint(cls, options: Mapping[str, Any]) -> str:
        """Of the trained weights that these options name.

        Raises:
            ArtifactError: They are not there.
        """
        return fingerprint(options, cls.spec.name)

    def encode(self, style: Images) -> StyleCode:
        """(1,) how much of the domain's style: always 1, since the training has decided on the style.

        Pictures that are given are not looked at; none is needed.
        """
        return StyleCode(self.spec.name, {"amount": np.ones(1, np.float32)})

    def unchanged(self) -> StyleCode:
        """The code of leaving photos as they are; mixed with that of `encode` it gives less of the style."""
        return StyleCode(self.spec.name, {"amount": np.zeros(1, np.float32)})

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing.

        Raises:
            ConfigError: The code is another stylizer's.
        """
        amount = float(code.read(self.spec.name)["amount"][0])
        parts = [self._some(images[i : i + MICRO_BATCH], amount) for i in range(0, len(images), MICRO_BATCH)]
        return np.concatenate(parts) if parts else images

    @torch.inference_mode()
    def _some(self, images: Images, amount: float) -> Images:
        x = as_tensor(resized(images, self.side), self.device).contiguous(memory_format=torch.channels_last)
        change = (self.network(x) - x) * amount
        return enlarged(change.permute(0, 2, 3, 1).float().cpu().numpy() * 255, images)


def _whole(like: Tensor) -> Tensor:
    return like.new_ones(len(like), 1)
