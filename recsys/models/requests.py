"""What is asked of a fitted model and what it answers, between ids and integers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.errors import ConfigError, DataError, UnknownIdError, unknown_name
from recsys.topk import Floats, Ints, Mask

OnUnknown = Literal["raise", "warn", "skip"]
"""What to do with an id the model does not know: refuse, leave it out with a warning, or leave it out."""

POLICIES = ("raise", "warn", "skip")


def as_ids(ids: Iterable[str], name: str) -> npt.NDArray[Any]:
    """Ids as a 1-d array; one single string is refused, it would be read as its letters."""
    if isinstance(ids, str):
        raise DataError(f"{name} must be a list of ids, got the single string {ids!r}; write [{ids!r}]")
    if not isinstance(ids, Iterable):
        raise DataError(f"{name} must be a list of ids, got {ids!r}; write [{str(ids)!r}]")
    array = ids if isinstance(ids, np.ndarray) else np.array(list(ids), dtype=object)
    if array.ndim != 1:
        raise DataError(f"{name} must be one list of ids, got one of shape {array.shape}; flatten it")
    return array


def allowed_mask(items: IdMap, allow: Iterable[str] | None, deny: Iterable[str] | None) -> Mask | None:
    """(n_items,) what may be listed: ``allow`` (None: all) without ``deny``; None where everything may.

    Raises:
        UnknownIdError: An item is unknown.

    Example:
        >>> allowed_mask(IdMap.of(["a", "b", "c"]), ["a", "b"], ["b"])
        array([ True, False, False])
    """
    if allow is None and deny is None:
        return None
    mask = np.full(len(items), allow is None)
    if allow is not None:
        mask[items.encode(as_ids(allow, "allow"))] = True
    if deny is not None:
        mask[items.encode(as_ids(deny, "deny"))] = False
    return mask


def known_index(ids: IdMap, wanted: Iterable[str], name: str, on_unknown: OnUnknown, *, depth: int = 2) -> Ints:
    """The index of each of ``wanted`` that is known, in order.

    Args:
        ids: Who is known.
        wanted: Who is asked for.
        name: What messages call them.
        on_unknown: ``warn`` names how many are left out and the first of them.
        depth: Calls between this one and the caller a warning should point at.

    Raises:
        ConfigError: ``on_unknown`` is something else.
        UnknownIdError: An id is unknown and ``on_unknown`` is ``"raise"``.

    Example:
        >>> known_index(IdMap.of(["a", "b"]), ["b", "x"], "items", "skip")
        array([1])
    """
    if on_unknown not in POLICIES:
        raise ConfigError(unknown_name("on_unknown", on_unknown, POLICIES))
    wanted = as_ids(wanted, name)
    if on_unknown == "raise":
        return ids.encode(wanted)
    found = ids.positions(wanted)
    missing = wanted[found < 0]
    if len(missing) and on_unknown == "warn":
        first = ", ".join(repr(i) for i in missing[:3])
        warnings.warn(
            f"{len(missing)} of {len(wanted)} {name} are unknown and left out, first {first}", stacklevel=depth + 1
        )
    return found[found >= 0]


def history_matrix(
    items: IdMap, histories: Mapping[str, Sequence[str]], on_unknown: OnUnknown, *, depth: int = 2
) -> tuple[IdMap, sp.csr_array]:
    """Users known only by what they have, as ids and an (n, n_items) CSR of counts.

    Raises:
        DataError: A history is a single string, or there are no names.
        UnknownIdError: An item is unknown and ``on_unknown`` is ``"raise"``.

    Example:
        >>> users, counts = history_matrix(IdMap.of(["a", "b"]), {"u": ["b", "b"], "v": []}, "raise")
        >>> list(users), counts.toarray().tolist()
        (['u', 'v'], [[0.0, 2.0], [0.0, 0.0]])
    """
    if not isinstance(histories, Mapping):
        raise DataError(
            f"histories must map names to lists of ids, got {type(histories).__name__}; write {{name: ids}}"
        )
    lists = [as_ids(history, f"the history of {user!r}") for user, history in histories.items()]
    owner = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    flat = np.concatenate([*lists, np.empty(0, object)])
    known_index(items, flat, "items of histories", on_unknown, depth=depth + 1)
    found = items.positions(flat)
    counts = sp.csr_array(
        (np.ones((found >= 0).sum(), np.float32), (owner[found >= 0], found[found >= 0])),
        shape=(len(lists), len(items)),
    )
    counts.sum_duplicates()
    counts.sort_indices()
    return IdMap.of(histories), counts


def as_recommendations(queries: npt.NDArray[Any], items: IdMap, found: Ints, best: Floats) -> Recommendations:
    """Rows of (n, k) indices, -1 where a list is short, as columns."""
    row, rank = np.nonzero(found >= 0)
    return Recommendations.of(queries[row], items.decode(found[row, rank]), best[row, rank], rank + 1)


def check_allowed(allowed: npt.ArrayLike | None, n_items: int) -> Mask | None:
    """A mask over items, or None for all.

    Raises:
        DataError: It is no mask of the catalogue's length.
    """
    if allowed is None:
        return None
    mask = np.asarray(allowed)
    if mask.shape != (n_items,) or mask.dtype != bool:
        raise DataError(f"allowed must have shape ({n_items},) of true and false, got {mask.dtype} of {mask.shape}")
    return mask


def check_index(user_idx: npt.ArrayLike, n_users: int) -> Ints:
    """User indices as int64.

    Raises:
        DataError: They are no list of integers.
        UnknownIdError: One is out of range.
    """
    given = np.asarray(user_idx)
    if given.ndim != 1 or (len(given) and not np.issubdtype(given.dtype, np.integer)):
        raise DataError(f"user indices must be a list of integers, got {given.dtype} of shape {given.shape}")
    index = given.astype(np.int64)
    if len(index) and not (index.min() >= 0 and index.max() < n_users):
        raise UnknownIdError(f"user indices must lie in [0, {n_users}), got {index.min()} to {index.max()}")
    return index
