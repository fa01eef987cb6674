"""The bootstrap of a mean of counts: its whole distribution at once, and as many resamples of it as one likes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
LARGEST = 2**26
"""Of the sum of all counts' maxima: what the transform holds, half a gigabyte."""


@dataclass(frozen=True, eq=False)
class CountBootstrap:
    """The distribution of the mean of n counts drawn with replacement (Efron, 1979).

    A resample's sum is the sum of n independent draws from the counts at hand, so its probabilities are the counts' own
    convolved n times: a power of their Fourier transform. Nothing is left to chance, and a resample costs one
    random number whatever n is.

    Attributes:
        n: Users.
        cumulative: (sums,) probability of a sum up to 0, 1, …

    Example:
        >>> found = CountBootstrap.of(np.array([0, 0, 1, 1]))
        >>> found.cumulative.round(4).tolist()  # binomial(4, 1/2)
        [0.0625, 0.3125, 0.6875, 0.9375, 1.0]
    """

    n: int
    cumulative: Floats

    @classmethod
    def of(cls, counts: npt.ArrayLike) -> CountBootstrap:
        """From whole numbers >= 0.

        Args:
            counts: (n,).

        Raises:
            DataError: Not whole numbers >= 0, none at all, or so large that their sums' table would not fit.
        """
        values = np.asarray(counts)
        if values.ndim != 1 or len(values) == 0 or not (np.isfinite(values) & (values >= 0) & (values % 1 == 0)).all():
            raise DataError(
                "the count bootstrap needs whole numbers >= 0 of at least one user; bootstrap_means takes any"
            )
        share = np.bincount(values.astype(np.int64)) / len(values)
        largest = len(values) * (len(share) - 1)
        if largest >= LARGEST:
            raise DataError(f"sums up to {largest} are too many for the count bootstrap; use bootstrap_means")
        size = 1 << int(largest).bit_length()
        chance = np.fft.irfft(np.fft.rfft(share, size) ** len(values), size)[: largest + 1]
        cumulative = np.cumsum(np.maximum(chance, 0.0))
        return cls(len(values), cumulative / cumulative[-1])

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval of the mean, without resampling noise.

        Example:
            >>> low, high = CountBootstrap.of(np.arange(101) % 2).interval()
            >>> round(low, 3), round(high, 3)
            (0.396, 0.594)
        """
        if not 0 < level < 1:
            raise ConfigError(f"level must be between 0 and 1, got {level}; 0.95 is usual")
        low, high = np.searchsorted(self.cumulative, [(1 - level) / 2, (1 + level) / 2]) / self.n
        return float(low), float(high)

    def means(self, resamples: int, *, seed: int) -> Floats:
        """(resamples,) means of resamples.

        Args:
            resamples: >= 1.
            seed: Same seed, same means.
        """
        if resamples < 1:
            raise ConfigError(f"resamples must be >= 1, got {resamples}; 2000 is usual")
        first, last = np.searchsorted(self.cumulative, [1e-17, 1 - 1e-16])
        luck = np.random.default_rng(seed).random(resamples)
        inside = self.cumulative[first : last + 1]
        return np.asarray((first + np.searchsorted(inside, luck, side="right")) / self.n)
