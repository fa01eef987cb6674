"""Who gets what: salted hashes that anybody can compute again, and the log of who was exposed to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import ConfigError, DataError
from recsys.files import atomic_write

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def hashed(units: Iterable[object], salt: str) -> Floats:
    """(n,) in [0, 1), by a salted hash (BLAKE2b) of ``str(unit)``: stable everywhere, independent between salts.

    Args:
        units: Ids.
        salt: A test's own.

    Example:
        >>> hashed(["ann", "bob"], "spring").round(3).tolist()
        [0.315, 0.197]
    """
    prefix = hashlib.blake2b(digest_size=8, key=hashlib.sha256(salt.encode()).digest())
    digests = bytearray()
    for unit in units.tolist() if isinstance(units, np.ndarray) else units:
        digest = prefix.copy()
        digest.update(str(unit).encode("utf-8", "surrogatepass"))
        digests += digest.digest()
    return np.asarray(np.frombuffer(bytes(digests), dtype=">u8") / 2.0**64)


def assign(units: Iterable[object], salt: str, allocation: float) -> Ints:
    """(n,) treatment (1) or control (0).

    Args:
        units: Ids: of users, categories, blocks of time, whatever is randomised.
        salt: A test's own; two tests that share one share their split.
        allocation: Share of treatment; raising it moves customers from control to treatment only.

    Example:
        >>> assign(["ann", "bob", "cy"], "spring", 0.5).tolist()
        [1, 1, 0]
        >>> bool(0.48 < assign(range(10000), "spring", 0.5).mean() < 0.52)
        True
    """
    return (hashed(units, salt) < allocation).astype(np.int64)


def assign_arms(units: Iterable[object], salt: str, shares: Sequence[float]) -> Ints:
    """(n,) one of several arms, 0 the control.

    Args:
        units: As of `assign`.
        salt: Likewise.
        shares: Of each arm, control first; they sum to 1.

    Raises:
        ConfigError: A share below 0, or a sum other than 1.

    Example:
        >>> assign_arms(["ann", "bob", "cy", "di"], "spring", [0.25, 0.25, 0.5]).tolist()
        [2, 1, 2, 0]
        >>> assign_arms(["ann", "bob", "cy"], "spring", [0.5, 0.5]).tolist()  # as `assign` has it
        [1, 1, 0]
    """
    share = np.asarray(shares, np.float64)
    if len(share) < 2 or (share < 0).any() or abs(share.sum() - 1) > 1e-9:
        raise ConfigError(f"shares must be >= 0, of two arms at least, and sum to 1, got {list(shares)}")
    ends = np.cumsum(share[1:])
    at = np.searchsorted(ends, hashed(units, salt), side="right") + 1
    return np.asarray(np.where(at > len(ends), 0, at), np.int64)


def write_exposures(
    path: Path | str,
    units: Sequence[object] | npt.NDArray[np.generic],
    arms: Ints,
    *,
    labels: Sequence[str],
    salt: str,
    time: npt.ArrayLike | None = None,
    propensity: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Write who was exposed to which arm, as Parquet with the columns unit, arm, salt, shown_at and propensity.

    One row an exposure, in the given order; a unit may come again. Join it to what happened, and hand that to
    `evaluation.experiment.decision.analyze_log`; with propensities also to `evaluation.ope.read_log`.

    Args:
        path: Written whole or not at all.
        units: (n,) ids; written as text.
        arms: (n,) positions in ``labels``.
        labels: Names of the arms, control first.
        salt: Of the assignment, so that it can be checked.
        time: (n,) of exposure; the column is left out when omitted.
        propensity: (n,) probability of the arm in (0, 1]; the column is left out when omitted.

    Returns:
        What was written.

    Raises:
        DataError: Lengths differ, an arm without a label, or a propensity outside (0, 1].
    """
    at = np.asarray(arms, np.int64)
    if len(at) != len(units) or (len(at) and not 0 <= at.min() <= at.max() < len(labels)):
        raise DataError(f"{len(units)} units need as many arms in [0, {len(labels)}), got {len(at)}")
    columns = {"unit": [str(u) for u in units], "arm": np.asarray(labels, object)[at], "salt": salt}
    frame = pd.DataFrame(columns)
    for name, values in (("shown_at", time), ("propensity", propensity)):
        if values is not None:
            frame[name] = np.asarray(values)
    if propensity is not None and not ((frame["propensity"] > 0) & (frame["propensity"] <= 1)).all():
        raise DataError("propensities must be in (0, 1]: the probability with which the arm was drawn")
    with atomic_write(path) as file:
        frame.to_parquet(file, index=False)
    return frame
