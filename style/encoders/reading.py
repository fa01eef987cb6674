"""Read any layer of a network: which layers, and how their activations become one row."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp

from recsys.errors import ConfigError
from style.encoders.trunk import Reader, Rows, Tap

Pool = Literal["mean", "mean-std", "gram"]
DIMS = 256
"""Of a projected Gram matrix, whatever the width of the layers."""


def layer_reader(name: str, known: Sequence[str], layers: Sequence[str], pool: Pool) -> Reader:
    """A reader of some layers of a network.

    Args:
        name: The network's, for messages.
        known: Its layers, in order; a tap is a place in it.
        layers: Those to be read; their rows are put side by side.
        pool: ``mean`` of each channel; ``mean-std``, mean and deviation of each channel (AdaIN statistics: style);
            ``gram``, products of channels, projected to 256 dimensions (style, finer).

    Raises:
        ConfigError: An unknown layer or pool.
    """
    if pool not in get_args(Pool):
        raise ConfigError(f"{name}: pool must be one of {', '.join(get_args(Pool))}, got {pool!r}")
    taps = tuple(Tap(_place(name, known, layer), pool) for layer in layers)
    return Reader(taps, projected_gram if pool == "gram" else side_by_side)


def _place(name: str, known: Sequence[str], layer: str) -> int:
    if layer in known:
        return known.index(layer)
    close = difflib.get_close_matches(layer, known, n=6, cutoff=0.4) or list(known)[:6]
    raise ConfigError(f"{name} has no layer {layer!r}; some of its {len(known)}: {', '.join(close)}")


def side_by_side(pooled: Sequence[Rows]) -> Rows:
    """(n, d1), (n, d2), … → (n, d1 + d2 + …)."""
    return np.concatenate(pooled, axis=1)


def projected_gram(grams: Sequence[Rows]) -> Rows:
    """The upper triangles of (n, c, c) Gram matrices, their signed square roots, → (n, 256).

    By a fixed sparse random projection, which keeps distances (Li, Hastie and Church 2006). A sparse product: a dense
    one would wake BLAS threads that then spin beside the encoders.
    """
    rows = gram_rows(grams)
    return np.asarray(rows @ projection(rows.shape[1]), np.float32)


def gram_rows(grams: Sequence[Rows]) -> Rows:
    """The upper triangles of (n, c, c) Gram matrices side by side, signed square roots.

    Example:
        >>> gram_rows([np.array([[[4, -9], [-9, 1]]], np.float32)]).tolist()
        [[2.0, -3.0, 1.0]]
    """
    triangles = [gram[:, *np.triu_indices(gram.shape[1])] for gram in grams]
    values = np.concatenate(triangles, axis=1)
    return np.asarray(np.copysign(np.sqrt(np.abs(values)), values))


@lru_cache(maxsize=8)
def projection(width: int) -> sp.csr_array:
    """(width, DIMS), one entry in 16 is ±1/√(DIMS/16), the rest 0."""
    rng = np.random.default_rng(20060820)
    signs = rng.choice(np.array([-1, 1], np.float32), (width, DIMS)) * (rng.random((width, DIMS)) < 1 / 16)
    return sp.csr_array(signs * np.float32(4 / np.sqrt(DIMS)))
