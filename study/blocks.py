"""What describes an item, as a study file writes it: ``blocks = ["gram", { encoder = "texture", whiten = true }]``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from recsys.errors import ConfigError, unknown_name
from recsys.registry import names
from style.base import Encoder
from style.encoders.make import Spec, is_encoder, make_encoder
from style.encoders.text import TextEncoder, is_text_encoder, make_text_encoder

DIMS = 64
"""Of a whitened block that says nothing else."""


@dataclass(frozen=True)
class BlockConfig:
    """One block of features from an encoder.

    Attributes:
        encoder: Of pictures or of texts; ``name``, ``family:model``, with layers after ``@``.
        name: Of the block; "" takes the encoder's.
        whiten: Directions of equal variance, fitted on the originals; not set: as the encoder advises.
        dims: Principal directions to keep; not set: as the encoder advises, or 64 where it is whitened.
        minus: Catalogue column, such as ``category``, the mean of whose value is taken off first (DeepStyle).
        columns: Catalogue columns whose text is read, which makes it a block of texts; a text encoder reads ``title``.
        options: The encoder's own, such as ``pool`` or ``colours``.
    """

    encoder: str
    name: str = ""
    whiten: bool | None = None
    dims: int | None = None
    minus: str = ""
    columns: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = sorted({*names("encoders"), *names("text_encoders")})
        if Spec.read(self.encoder).name not in known:
            raise ConfigError(f"features.blocks: {unknown_name('encoder', self.encoder, known)}")
        if self.columns and not is_text_encoder(self.encoder):
            raise ConfigError(f"features.blocks: {self.encoder} reads pictures, not the columns {list(self.columns)}")
        if self.dims is not None and self.dims < 1:
            raise ConfigError(f"features.blocks: dims of {self.called} must be >= 1, got {self.dims}")

    @property
    def called(self) -> str:
        """The block's name."""
        return self.name or self.encoder

    @property
    def reads_text(self) -> bool:
        """Whether it is made of the catalogue's words, not of pictures."""
        return bool(self.columns) or not is_encoder(self.encoder)

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns it reads."""
        return self.columns or ("title",)

    def picture_encoder(self, *, device: str, base: Path) -> Encoder:
        """The encoder, named by what it is: two blocks of one encoder share its rows."""
        return make_encoder(self.encoder, device=device, base=base, **self.options)

    def text_encoder(self, *, device: str, base: Path) -> TextEncoder:
        """The encoder of a block that reads text."""
        return make_text_encoder(self.encoder, device=device, base=base, **self.options)

    def reduction(self, advised: int) -> tuple[int, bool]:
        """Dimensions to keep (0: all, as they are) and whether they are whitened; the encoder advises ``advised``."""
        whiten = advised > 0 if self.whiten is None else self.whiten
        dims = self.dims or (advised or DIMS if whiten else 0)
        return dims, whiten


@dataclass(frozen=True)
class FeaturesConfig:
    """What describes an item.

    Attributes:
        blocks: Names of encoders and of catalogue columns (one-hot), and tables as `BlockConfig` has them.
        device: ``auto`` takes a GPU when there is one.
        batch: Images encoded at once.
    """

    blocks: tuple[BlockConfig | str, ...] = ("efficientnet-lite0", "magenta-style", "gram", "category")
    device: str = "auto"
    batch: int = 32

    def __post_init__(self) -> None:
        twice = [name for name in self.names if self.names.count(name) > 1]
        if twice:
            raise ConfigError(f"features.blocks: {twice[0]!r} is there twice; give one of them a name = … of its own")

    @cached_property
    def made(self) -> tuple[BlockConfig, ...]:
        """The blocks that encoders make."""
        tables = [BlockConfig(b) if isinstance(b, str) and _encoded(b) else b for b in self.blocks]
        return tuple(b for b in tables if isinstance(b, BlockConfig))

    @property
    def names(self) -> tuple[str, ...]:
        """Of all blocks, in order."""
        return tuple(b if isinstance(b, str) else b.called for b in self.blocks)

    @property
    def pictures(self) -> tuple[BlockConfig, ...]:
        """The blocks that are made from pictures."""
        return tuple(b for b in self.made if not b.reads_text)

    @property
    def texts(self) -> tuple[BlockConfig, ...]:
        """The blocks that are made from words."""
        return tuple(b for b in self.made if b.reads_text)

    @property
    def columns(self) -> tuple[str, ...]:
        """The blocks that are catalogue columns."""
        return tuple(b for b in self.blocks if isinstance(b, str) and not _encoded(b))

    @property
    def metadata(self) -> tuple[str, ...]:
        """Names of the blocks that are known without a picture."""
        return (*self.columns, *(b.called for b in self.texts))


def _encoded(name: str) -> bool:
    return is_encoder(name) or is_text_encoder(name)
