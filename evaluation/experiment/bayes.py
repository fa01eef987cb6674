"""What the data and a prior say together: the chance that treatment is better, and what a wrong choice costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from recsys.errors import ConfigError


@dataclass(frozen=True)
class Posterior:
    """A normal posterior of a relative effect.

    Attributes:
        mean: Of the effect.
        low: Credible interval's lower end.
        high: Its upper end.
        chance_positive: That the effect is above 0.
        risk_ship: Expected loss of shipping: mean of max(-effect, 0).
        risk_keep: Expected loss of keeping control: mean of max(effect, 0).
    """

    mean: float
    low: float
    high: float
    chance_positive: float
    risk_ship: float
    risk_keep: float


def posterior(effect: float, standard_error: float, *, prior_sd: float, alpha: float = 0.05) -> Posterior:
    """Normal likelihood, normal prior around 0.

    The prior says how large effects use to be; it shrinks a noisy estimate towards 0. Conjugate update: Gelman et
    al., Bayesian data analysis, 2013, eq. 2.11; expected loss: Stucchio, Bayesian A/B testing at VWO, 2015.

    Args:
        effect: Estimate, such as a relative effect.
        standard_error: Its error, >= 0.
        prior_sd: Standard deviation of effects in tests like this, > 0; infinite for no prior.
        alpha: 1 - content of the credible interval.

    Raises:
        ConfigError: ``prior_sd`` is not above 0.

    Example:
        >>> p = posterior(0.02, 0.01, prior_sd=0.02)
        >>> round(p.mean, 4), round(p.chance_positive, 4)
        (0.016, 0.9632)
    """
    if not prior_sd > 0:
        raise ConfigError(f"prior_sd must be above 0, got {prior_sd}; 0.1 allows effects of 10 % and more")
    weight = 1 / (1 + (standard_error / prior_sd) ** 2)
    mean, sd = weight * effect, float(np.sqrt(weight)) * standard_error
    reach = float(-ndtri(alpha / 2)) * sd
    if sd == 0:
        return Posterior(mean, mean, mean, float(mean > 0) + 0.5 * float(mean == 0), max(-mean, 0.0), max(mean, 0.0))
    t = mean / sd
    bump = sd * float(np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi))
    better = float(ndtr(t))
    risks = (bump - mean * float(ndtr(-t)), bump + mean * better)
    return Posterior(mean, mean - reach, mean + reach, better, max(risks[0], 0.0), max(risks[1], 0.0))
