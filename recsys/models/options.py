"""Checks that configurations share: each names the option, what it got and what it takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from recsys.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")


def check_choice(config: Any, name: str, known: Iterable[str]) -> None:
    """Refuse an option that is none of ``known``.

    Example:
        >>> from types import SimpleNamespace
        >>> check_choice(SimpleNamespace(loss="wrap"), "loss", ("warp", "bpr"))
        Traceback (most recent call last):
        recsys.errors.ConfigError: loss must be one of warp, bpr, got 'wrap'
    """
    choices = list(known)
    if getattr(config, name) not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(choices)}, got {getattr(config, name)!r}")


def check_counts(config: Any, *names: str) -> None:
    """Refuse options below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(f"{name} must be >= 1, got {getattr(config, name)}")


def check_positive(config: Any, *names: str) -> None:
    """Refuse options that are not above 0, or not finite."""
    for name in names:
        if not 0 < getattr(config, name) < np.inf:
            raise ConfigError(f"{name} must be > 0, got {getattr(config, name)}")


def check_not_negative(config: Any, *names: str) -> None:
    """Refuse options below 0, or not finite."""
    for name in names:
        if not 0 <= getattr(config, name) < np.inf:
            raise ConfigError(f"{name} must be >= 0, got {getattr(config, name)}")


def torch_device(name: str) -> torch.device:
    """The device a ``device`` option means: ``auto`` is a GPU where there is one.

    Raises:
        ConfigError: ``cuda`` is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch sees no GPU; use device = 'auto' or 'cpu'")
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)
