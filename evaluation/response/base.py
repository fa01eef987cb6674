"""What a response model answers, whatever its story of how people read a page."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Luck = Floats | np.random.Generator
"""(n, K) uniform numbers in [0, 1), or a generator to draw them from."""


class ResponseModel(Protocol):
    """How a page of K places with given log-odds is clicked.

    Log-odds are of a click on a product that is looked at, against leaving it; -inf is an empty place, which nobody
    clicks and which costs nobody's patience. Models are frozen: everything random comes in as ``luck``, so two arms
    that are given the same luck differ by their log-odds alone (common random numbers).
    """

    @property
    def name(self) -> str:
        """As in ``[ab] response``."""
        ...

    def probability(self, log_odds: Floats) -> Floats:
        """(n, K) marginal probability of a click on each place, in closed form."""
        ...

    def any_click(self, log_odds: Floats) -> Floats:
        """(n,) probability that a page gets at least one click, in closed form."""
        ...

    def given_above(self, log_odds: Floats, clicks: Bools) -> Floats:
        """(n, K) probability of a click on each place given the clicks above it: their product is the page's."""
        ...

    def clicks(self, log_odds: Floats, luck: Luck) -> Bools:
        """(n, K) clicks of one visit to each page."""
        ...

    def thresholds(self, log_odds: Floats) -> Floats:
        """(n, K) with what luck is compared: pages that are visited often are worked out once."""
        ...

    def read(self, thresholds: Floats, luck: Floats) -> Bools:
        """(n, K) clicks, of pages whose thresholds are known: ``clicks`` is this after ``thresholds``."""
        ...


def checked(log_odds: npt.ArrayLike) -> Floats:
    """(n, K) log-odds that may be used; float32 stays float32.

    Raises:
        DataError: Not two-dimensional, or NaN.
    """
    odds = np.asarray(log_odds)
    if odds.dtype not in (np.float32, np.float64):
        odds = odds.astype(np.float64)
    if odds.ndim != 2:
        raise DataError(f"log-odds must be (pages, places), got shape {odds.shape}; one page is log_odds[None]")
    if np.isnan(odds).any():
        raise DataError("log-odds have NaN entries; -inf is an empty place")
    return odds


def uniforms(luck: Luck, shape: tuple[int, ...]) -> Floats:
    """``luck`` as numbers, one for each place of each page.

    Raises:
        DataError: Numbers of another shape.
    """
    if isinstance(luck, np.random.Generator):
        return luck.random(shape)
    if luck.shape != shape:
        raise DataError(f"luck must be one uniform number for each place, {shape}, got {luck.shape}")
    return luck


def share(name: str, value: float, low: float = 0.0) -> None:
    """Refuse what is no probability.

    Raises:
        ConfigError: Outside [low, 1].
    """
    if not low <= value <= 1:
        raise ConfigError(f"{name} must be in [{low:g}, 1], got {value}; it is a probability")
