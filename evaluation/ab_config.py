"""The settings of a simulated test: what is assumed, and how it is read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from evaluation.experiment.metrics import GOALS, Metric
from evaluation.experiment.plan import LogConfig, Plan
from evaluation.response import RESPONSES, ResponseModel
from evaluation.response.feedback import FeedbackConfig
from evaluation.response.purchases import AFTER_CLICK, PurchaseConfig
from evaluation.response.visits import VisitsConfig
from recsys.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class ABConfig:
    """A user-side test: how it is simulated, and how any log of it, real ones too, is read.

    Attributes:
        users: Customers in the test, drawn with replacement from the study's.
        style_effect: Assumed average shift of a click's log-odds when a product is shown in a look.
        recognisability_penalty: Log-odds lost per unit of recognisability lost (1 - SSIM inside it), >= 0.
        slate: Products on a page.
        sessions: Mean pages a customer sees during the test, >= 1: 1 + Poisson.
        pre_sessions: Mean pages before it, under the original, for CUPED; 0 for no such period.
        activity_spread: Standard deviation, as a share of the mean, of customers' own rates of sessions
            (gamma); the same rate holds before and during the test. 0: all alike.
        base_click_rate: Average probability of a click on a product that is looked at.
        appeal_spread: Log-odds of a click for each standard deviation of the model's score, >= 0.
        response: How a page is clicked: position-based, cascade, dbn or mnl.
        position_bias: Position-based: rank r is looked at with probability 1 / r^position_bias.
        examination: Position-based: these probabilities in place of ``position_bias``, first rank first.
        satisfaction: dbn: chance that a click ends the visit; None: the model's usual.
        continuation: dbn, cascade: chance to look at the next place; None: the model's usual.
        calibration: File of `stylerec calibrate`; what it found takes the place of the keys above from
            ``base_click_rate`` on. Relative to the study file; "": none.
        allocation: Share of customers in treatment.
        alpha: Significance level, two-sided; intervals cover 1 - alpha.
        goals: What decides, of clicks_per_user, click_through_rate, sessions_with_click, and with purchases those of
            `evaluation.response.purchases.AFTER_CLICK`; several are Holm-adjusted.
        guardrails: What must not get worse.
        guardrail_margin: Relative loss that a guardrail may show, >= 0.
        srm_alpha: A sample ratio p-value below this withholds the verdict.
        salt: Of the assignment hash.
        seeded_by: ``block``: blocks of customers share a generator, fast; ``customer``: everything random of a customer
            is a function of the seed and the customer's number, so that more customers leave the first as they were.
        visits: How customers change from visit to visit.
        purchases: What follows a click.
        feedback: How lists are retrained on what was shown.
    """

    users: int = 20000
    style_effect: float = 0.1
    recognisability_penalty: float = 0.5
    slate: int = 10
    sessions: float = 4.0
    pre_sessions: float = 4.0
    activity_spread: float = 0.5
    base_click_rate: float = 0.15
    appeal_spread: float = 0.5
    response: str = "position-based"
    position_bias: float = 1.0
    examination: tuple[float, ...] = ()
    satisfaction: float | None = None
    continuation: float | None = None
    calibration: str = ""
    allocation: float = 0.5
    alpha: float = 0.05
    goals: tuple[str, ...] = ("clicks_per_user",)
    guardrails: tuple[str, ...] = ("sessions_with_click",)
    guardrail_margin: float = 0.0
    srm_alpha: float = 0.001
    salt: str = "stylerec"
    seeded_by: Literal["block", "customer"] = "block"
    visits: VisitsConfig = field(default_factory=VisitsConfig)
    purchases: PurchaseConfig = field(default_factory=PurchaseConfig)
    feedback: FeedbackConfig = field(default_factory=FeedbackConfig)

    def __post_init__(self) -> None:
        for name, low in _AT_LEAST.items():
            if not low <= getattr(self, name) < np.inf:
                raise ConfigError(f"ab.{name} must be a number >= {low}, got {getattr(self, name)}")
        for name in ("base_click_rate", "allocation", "alpha", "srm_alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"ab.{name} must be between 0 and 1, both excluded, got {getattr(self, name)}")
        if not np.isfinite(self.style_effect):
            raise ConfigError(f"ab.style_effect must be a finite number, got {self.style_effect}; 0.1 is usual")
        if not self.feedback.is_off and self.feedback.pool < self.slate:
            raise ConfigError(f"ab.feedback.pool must be at least ab.slate, {self.slate}, got {self.feedback.pool}")
        self.make_response()
        for name in (*self.goals, *self.guardrails):
            if name not in self.metrics:
                off = "; it needs ab.purchases.rate above 0" if name in AFTER_CLICK else ""
                raise ConfigError(unknown_name("goal in ab.goals or ab.guardrails", name, self.metrics) + off)
        named = [*self.goals, *self.guardrails]
        if not self.goals or len(set(named)) < len(named):
            raise ConfigError(f"ab needs a goal, and each goal or guardrail once, got {named}; name every metric once")

    @property
    def metrics(self) -> dict[str, Metric]:
        """What the simulated log can tell: purchases only where there are some."""
        return GOALS | ({} if self.purchases.is_off else AFTER_CLICK)

    def make_response(self) -> ResponseModel:
        """The response model with its settings.

        Raises:
            ConfigError: An unknown one, or a setting out of range.

        Example:
            >>> ABConfig(response="cascade").make_response()
            Cascade(continuation=1.0)
        """
        if self.response not in RESPONSES:
            raise ConfigError(f"ab.response: {unknown_name('response model', self.response, RESPONSES)}")
        given: dict[str, Any] = {"eta": self.position_bias, "examined": self.examination} | {
            name: value for name in ("satisfaction", "continuation") if (value := getattr(self, name)) is not None
        }
        model = RESPONSES[self.response]
        return model(**{f.name: given[f.name] for f in fields(model) if f.name in given})

    def settings(self) -> dict[str, Any]:
        """Every setting by name, those of a table as ``table.name``; tables that are off are left out.

        Example:
            >>> found = ABConfig(visits=VisitsConfig(novelty=0.2)).settings()
            >>> found["visits.novelty"], "purchases.rate" in found
            (0.2, False)
        """
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("visits", "purchases", "feedback"):
            table = found.pop(name)
            found |= {} if table.is_off else {f"{name}.{key}": value for key, value in asdict(table).items()}
        return {key: value for key, value in found.items() if value is not None and value not in ((), "")}

    def plan(self, *, segments: tuple[str, ...] = ()) -> Plan:
        """How a log of this test is read: one look; metrics that do not decide are reported.

        Example:
            >>> list(ABConfig().plan().guardrails)
            ['sessions_with_click']
        """
        named = {*self.goals, *self.guardrails}
        return Plan(
            goals={name: self.metrics[name] for name in self.goals},
            guardrails={name: replace(self.metrics[name], margin=self.guardrail_margin) for name in self.guardrails},
            others={name: metric for name, metric in self.metrics.items() if name not in named},
            log=LogConfig(segments=segments),
            allocation=self.allocation,
            alpha=self.alpha,
            srm_alpha=self.srm_alpha,
        )


_AT_LEAST = {"users": 2, "slate": 1, "sessions": 1, "pre_sessions": 0, "activity_spread": 0} | {
    "appeal_spread": 0,
    "position_bias": 0,
    "recognisability_penalty": 0,
    "guardrail_margin": 0,
}
