"""Tests that may be looked at any time: asymptotic confidence sequences, which are mixture SPRTs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError

Floats = npt.NDArray[np.float64]


def anytime_reach(n: npt.ArrayLike, *, alpha: float, tuned_for: float) -> Floats:
    """Half-width, in standard errors, of an interval that holds at all sample sizes at once.

    √(2 (nρ² + 1) / (nρ²) · log(√(nρ² + 1) / α)) with ρ² = (-2 log α + log(1 - 2 log α)) / tuned_for:
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic confidence
    sequences, 2024, theorem 2.2 and appendix B.2.

    Args:
        n: Users in both arms at each look, >= 1.
        alpha: 1 - coverage over all looks together.
        tuned_for: Users at which the interval is to be narrowest; chosen before the test.

    Example:
        >>> anytime_reach([1000, 6461], alpha=0.05, tuned_for=1000).round(3).tolist()
        [3.035, 3.185]
    """
    ratio = _ratio(n, alpha, tuned_for)
    return np.asarray(np.sqrt(2 * (ratio + 1) / ratio * np.log(np.sqrt(ratio + 1) / alpha)))


def anytime_p_value(z: npt.ArrayLike, n: npt.ArrayLike, *, alpha: float, tuned_for: float) -> Floats:
    """p-value that holds whenever the test is stopped: below ``alpha`` exactly where `anytime_reach` excludes 0.

    Args:
        z: Effect / standard error.
        n: Users in both arms.
        alpha: For which ``tuned_for`` is meant.
        tuned_for: As of `anytime_reach`.

    Example:
        >>> float(anytime_p_value(3.1846, 6461, alpha=0.05, tuned_for=1000).round(3))
        0.05
    """
    return msprt_p_value(z, _ratio(n, alpha, tuned_for))


def msprt_p_value(z: npt.ArrayLike, ratio: npt.ArrayLike) -> Floats:
    """Always-valid p-value of the mixture sequential probability ratio test with a normal mixture around 0.

    1 / Λ, Λ = exp(z² τ² / (2 (τ² + V))) √(V / (V + τ²)): Johari, Koomen, Pekelis and Walsh, Peeking at A/B tests,
    2017, section 5. The running minimum over looks is valid, too.

    Args:
        z: Effect / standard error.
        ratio: τ² / V: variance of the mixture over the squared standard error, > 0.

    Returns:
        In (0, 1].

    Example:
        >>> msprt_p_value([0.0, 3.0], 10.0).round(4).tolist()
        [1.0, 0.0555]
    """
    z, ratio = np.asarray(z, np.float64), np.asarray(ratio, np.float64)
    log_p = 0.5 * np.log1p(ratio) - z**2 * ratio / (2 * (1 + ratio))
    return np.asarray(np.exp(np.minimum(log_p, 0.0)))


def _ratio(n: npt.ArrayLike, alpha: float, tuned_for: float) -> Floats:
    if not 0 < alpha < 1 or not 0 < tuned_for < np.inf:
        raise ConfigError(
            f"alpha must be between 0 and 1 and tuned_for above 0, got {alpha} and {tuned_for}; "
            "take the planned number of users"
        )
    scale = (-2 * np.log(alpha) + np.log1p(-2 * np.log(alpha))) / tuned_for
    return np.asarray(np.asarray(n, np.float64) * scale)
