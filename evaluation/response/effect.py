"""What a look adds to the attraction of a product: taste times style, less what it costs in recognisability."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from recsys.errors import DataError

Floats = npt.NDArray[np.floating]


class StyleEffect(Protocol):
    """The part of a configuration that says what a look does."""

    @property
    def style_effect(self) -> float:
        """Mean shift of a click's log-odds over the entries of the taste array, before the penalty."""
        ...

    @property
    def recognisability_penalty(self) -> float:
        """Log-odds lost per unit of recognisability loss, >= 0."""
        ...


def style_log_odds(taste: Floats, loss: Floats, config: StyleEffect) -> Floats:
    """What a look adds to the log-odds of a click: effect × (1 + taste - mean taste) - penalty × loss.

    Taste is centred to mean 1 over all n × K entries, so that ``style_effect`` is exactly the average shift
    before the penalty, whatever the scale and sign of taste. One unit of taste more is one ``style_effect``
    more; a user more than one unit below the average is put off. Entries shown without the look belong
    outside the array, or the average over what is shown differs from ``style_effect``.

    Args:
        taste: (n, K) how much each user likes the look shown, finite, in the user's own units.
        loss: (n, K) how much less recognisable each presentation is, >= 0; studies give 1 - SSIM inside the product.
        config: Effect and penalty.

    Returns:
        (n, K) float64.

    Raises:
        DataError: Different shapes, or NaN or infinite entries.

    Example:
        >>> from evaluation.ab_config import ABConfig
        >>> taste = np.array([[3.0], [4.0], [5.0]])
        >>> style_log_odds(taste, np.zeros((3, 1)), ABConfig(style_effect=0.2)).ravel().round(3).tolist()
        [0.0, 0.2, 0.4]
    """
    taste, loss = np.asarray(taste, np.float64), np.asarray(loss, np.float64)
    if taste.shape != loss.shape:
        raise DataError(f"taste {taste.shape} and recognisability loss {loss.shape} must have one shape")
    if not (np.isfinite(taste).all() and np.isfinite(loss).all()):
        raise DataError("taste and recognisability loss must be finite; give users without history the average taste")
    centred = 1 + taste - (taste.mean() if taste.size else 0.0)
    return np.asarray(config.style_effect * centred - config.recognisability_penalty * loss)
