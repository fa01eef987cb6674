"""What was randomised: users, or clusters of their rows; and an arm's moments under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.inference import Moments

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Split:
    """Each row's arm, and the cluster that it came there with.

    Attributes:
        arm: (n,) 0 control, 1 treatment.
        cluster: (n,) codes from 0 of what was randomised; None where that is the row itself, a user.

    Example:
        >>> split = Split(np.array([0, 0, 0, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2, 3, 3]))
        >>> split.counts, split.moments(np.array([1.0, 1, 3, 3, 4, 4, 4, 4]))[0]
        ((2, 2), Moments(n=2, mean=2.0, variance=2.0))
    """

    arm: Ints
    cluster: Ints | None = None

    @property
    def counts(self) -> tuple[int, int]:
        """Independent units in control and in treatment."""
        arm = self.arm if self.cluster is None else self.arm[np.unique(self.cluster, return_index=True)[1]]
        control, treatment = np.bincount(arm, minlength=2)
        return int(control), int(treatment)

    @property
    def usable(self) -> bool:
        """Whether both arms have the two units that a variance needs."""
        return min(self.counts) >= 2

    def among(self, which: Bools) -> Split:
        """The split of some rows."""
        return Split(self.arm[which], None if self.cluster is None else self.cluster[which])

    def moments(self, values: Floats) -> tuple[Moments, Moments]:
        """Of control and treatment: mean over rows, and a variance that over n is the mean's.

        Raises:
            DataError: An arm has fewer than two units.
        """
        control, treatment = (self._side(values, self.arm == side) for side in (0, 1))
        return control, treatment

    def _side(self, values: Floats, which: Bools) -> Moments:
        return Moments.of(values[which]) if self.cluster is None else clustered(values[which], self.cluster[which])


def clustered(values: Floats, cluster: Ints) -> Moments:
    """Mean over rows; its variance from leaving out each cluster in turn (the jackknife), times the clusters.

    Rows of a cluster may depend on each other in any way. With few clusters of unlike sizes the jackknife errs to
    the safe side, where the plain sandwich is too small: Cameron and Miller, A practitioner's guide to
    cluster-robust inference, 2015, section VI.B (CR3).

    Args:
        values: (n,).
        cluster: (n,) codes from 0; a Student's t with (clusters - 1) degrees of freedom goes with it.

    Returns:
        Moments whose n is the number of clusters.

    Raises:
        DataError: Fewer than two clusters.

    Example:
        >>> clustered(np.array([1.0, 2.0, 3.0]), np.arange(3))  # rows alone
        Moments(n=3, mean=2.0, variance=1.0)
    """
    code = np.unique(cluster, return_inverse=True)[1]
    size, n = np.bincount(code), len(np.unique(code))
    mean = float(values.mean()) if n else 0.0
    if n < 2:
        return Moments.of(values[:n])  # says what is missing
    sums = np.bincount(code, values - mean)
    without = -sums / (len(values) - size)  # mean without the cluster, less the mean
    off = without - without.mean()
    return Moments(n, mean, float((n - 1) * (off @ off)))
