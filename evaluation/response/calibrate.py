"""From a log of impressions to the settings of a simulation, with the proof of how real its clicks are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from evaluation.response import Cascade, DynamicBayesian, PositionBased
from evaluation.response.fitting import FITS, ROUNDS, Fit
from evaluation.response.impressions import Impressions
from evaluation.response.realism import Realism, compare
from recsys.errors import ArtifactError, ConfigError, DataError, unknown_name
from recsys.files import read_json

KEYS = ("response", "base_click_rate", "appeal_spread", "examination", "satisfaction", "continuation")
"""Keys of ``[ab]`` that a calibration sets."""
FEW_CLICKS = 1000
"""A log with fewer says little of ranks and nearly nothing of items."""
NOTE = (
    "A calibration makes simulated clicks like the log's; the effect of styling stays an assumption. "
    "A simulated test validates the analysis, not the styling."
)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a log says about how its pages are clicked.

    Attributes:
        fits: Response model → its fit to the whole log.
        realism: The same models, fitted to a part, against the pages that were held out.
        chosen: The model with the least perplexity there, of each click given those above it.
        items: Items of the log.
        pages: Pages of the log; impressions where it knows no pages.
        clicks: Of the log.
        refused: Rows of the source that were refused.
    """

    fits: Mapping[str, Fit]
    realism: Mapping[str, Realism]
    chosen: str
    items: int
    pages: int
    clicks: int
    refused: int

    @property
    def caution(self) -> str:
        """What to mistrust; "" where the log has clicks enough."""
        unsettled = [name for name, fit in self.fits.items() if not fit.settled]
        few = f"the log has {self.clicks} clicks, fewer than {FEW_CLICKS}: take the settings as a guess"
        slow = f"not settled after {ROUNDS} rounds: {', '.join(unsettled)}"
        return "; ".join([few] * (self.clicks < FEW_CLICKS) + [slow] * bool(unsettled))

    def settings(self, name: str = "") -> dict[str, Any]:
        """The keys of ``[ab]`` that a model sets; the chosen one's by default."""
        return settings_of(self.fits[name or self.chosen])

    def to_json(self) -> dict[str, Any]:
        """The file of `stylerec calibrate`: ``ab`` for the simulation, ``models`` for the reader."""
        models = {
            name: {"settings": self.settings(name), "settled": fit.settled, "held_out": self.realism[name].to_json()}
            for name, fit in self.fits.items()
        }
        sizes = {"items": self.items, "pages": self.pages, "clicks": self.clicks, "refused_rows": self.refused}
        return {"ab": self.settings(), "log": sizes, "models": models, "caution": self.caution, "note": NOTE}


def calibrate(log: Impressions, responses: Sequence[str] = (), *, held_out: float = 0.2, seed: int = 0) -> Calibration:
    """Fit response models to a log, judge them on held-out pages, and take the best.

    Args:
        log: Impressions of organic or randomised pages.
        responses: Names; (): all that the log can tell, which is the position-based one alone where it has no pages.
        held_out: Share of pages to judge by, in (0, 1), drawn at random.
        seed: Of the draw and of the simulated clicks.

    Raises:
        ConfigError: An unknown model, or a share outside (0, 1).
        DataError: No click, no pages where they are needed, or too few pages.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> items = rng.integers(0, 20, (4000, 3))
        >>> clicks = Cascade().clicks(np.full((4000, 3), -1.0), rng)
        >>> found = calibrate(Impressions.of(items, clicks), ["position-based", "cascade"])
        >>> found.settings("cascade")["continuation"] > 0.9
        True
    """
    if not 0 < held_out < 1:
        raise ConfigError(f"held_out must be between 0 and 1, both excluded, got {held_out}; 0.2 is usual")
    names = list(responses) or (list(FITS) if log.paged else ["position-based"])
    for name in names:
        if name not in FITS:
            raise ConfigError(unknown_name("response model", name, FITS))
    aside = np.random.default_rng(seed).random(log.n_pages) < held_out
    if not aside.any() or aside.all():
        raise DataError(f"the log has {log.n_pages} pages, too few to hold some out; bring a longer log")
    learned, judged = log.part(~aside), log.part(aside)
    realism = {name: compare(FITS[name](learned), judged, learned, seed=seed) for name in names}
    fits = {name: FITS[name](log) for name in names}
    chosen = min(names, key=lambda name: realism[name].perplexity_given_above)
    refused = int(log.rejected["row"].nunique())
    return Calibration(fits, realism, chosen, log.n_items, log.n_pages, int(log.click.sum()), refused)


def settings_of(fit: Fit) -> dict[str, Any]:
    """The keys of ``[ab]`` that a fit sets.

    ``base_click_rate`` is the average item's, ``appeal_spread`` the standard deviation of items' log-odds.
    """
    found: dict[str, Any] = {
        "response": fit.model.name,
        "base_click_rate": float(expit(fit.attraction.mean)),
        "appeal_spread": fit.attraction.spread,
    }
    if isinstance(fit.model, PositionBased):
        found["examination"] = fit.model.examined
    if isinstance(fit.model, DynamicBayesian):
        found["satisfaction"] = fit.model.satisfaction
    if isinstance(fit.model, DynamicBayesian | Cascade):
        found["continuation"] = fit.model.continuation
    return found


def read_calibration(path: str | Path) -> dict[str, Any]:
    """The keys of ``[ab]`` in a file of `stylerec calibrate`: ``replace(config, **read_calibration(path))``.

    Raises:
        ArtifactError: Missing, no JSON, or no calibration.
    """
    found = read_json(path)
    ab = found.get("ab") if isinstance(found, dict) else None
    if not isinstance(ab, dict) or "response" not in ab or not set(ab) <= set(KEYS):
        raise ArtifactError(f"{path} is no calibration: it needs a table ab of {', '.join(KEYS)}; make it anew")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in ab.items()}


def model_rows(found: Calibration) -> list[dict[str, Any]]:
    """A row a model, for a table."""
    return [
        {
            "response": name,
            "given_above": real.perplexity_given_above,
            "perplexity": real.perplexity,
            "ranks_alone": real.perplexity_of_ranks,
            "kl_ranks": real.kl_ranks,
            "ks_items": real.ks_items,
            "ks_pages": real.ks_pages,
            "kl_pages": real.kl_pages,
            "auc": real.auc,
            "auc_low": real.auc_low,
            "auc_high": real.auc_high,
        }
        for name, real in found.realism.items()
    ]


def rank_rows(found: Calibration) -> list[dict[str, Any]]:
    """A row a rank of the chosen model, for a table."""
    return list(found.realism[found.chosen].ranks)


def setting_lines(found: Calibration) -> list[str]:
    """The keys of ``[ab]`` as a study file has them, rounded."""
    lines = []
    for key, value in found.settings().items():
        numbers = ", ".join(f"{v:.4g}" for v in value) if isinstance(value, tuple) else ""
        said = f'"{value}"' if isinstance(value, str) else f"[{numbers}]" if numbers else f"{value:.4g}"
        lines.append(f"{key} = {said}")
    return lines
