"""What was decided before a test: its goals, its size, when it may be looked at; and how its log is laid out."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evaluation.experiment.group_sequential import boundaries, check_spending
from evaluation.experiment.metrics import Metric
from evaluation.multiplicity import check_adjustment
from recsys.config import from_mapping
from recsys.errors import ConfigError

Looks = Literal["once", "any time", "planned"]
Design = Literal["user", "cluster", "switchback", "interleaving", "multi-arm"]
UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
"""Of a duration such as 6h, in seconds."""


def seconds(duration: str) -> float:
    """Seconds of a duration.

    Raises:
        ConfigError: It is none.

    Example:
        >>> seconds("6h"), seconds("90 min")
        (21600.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|d)", duration)
    if found is None:
        raise ConfigError(f'a duration is a number with s, min, h or d such as "6h", got {duration!r}')
    return float(found[1]) * UNITS[found[2]]


@dataclass(frozen=True)
class LogConfig:
    """Where a log holds what.

    Attributes:
        level: Whether a row is an event (summed over each user) or a user.
        unit: Column of the user.
        arm: Column of the arm.
        control: The control's label there.
        treatment: The treatment's label; rows of other arms are left out.
        time: Column of time, for the effect by day, the past, and the sequential check of the split.
        start: The test's first moment, an ISO date or time; earlier rows are the past, for CUPED.
        rows: Name of the count of a user's rows, such as impressions.
        distinct: Name → column whose different values are counted, such as sessions = "session_id".
        exposed: Column, true where a user met what is tested; must be alike in both arms.
        segments: Columns of labels known before the test; the effect is shown within each.
        tastes: Columns of numbers known before the test; does the effect grow with them?
        covariates: Columns of numbers known before the test: a model of them takes out noise (CUPAC).
        strata: Column of labels known before the test; the effect is the mean of the strata's (post-stratification).
        cluster: Column of what was randomised, such as the category or the shop, in place of the user.
        block: Length of a switchback's blocks of time from ``start`` on, such as "6h".
        burn_in: First part of each block that is left out, because the arm before still tells there.
        treatments: Labels of several treatments, each compared with control.
    """

    level: Literal["row", "user"] = "row"
    unit: str = "user_id"
    arm: str = "arm"
    control: str | int = 0
    treatment: str | int = 1
    time: str | None = None
    start: str | None = None
    rows: str = "impressions"
    distinct: Mapping[str, str] = field(default_factory=dict)
    exposed: str | None = None
    segments: tuple[str, ...] = ()
    tastes: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    strata: str | None = None
    cluster: str | None = None
    block: str | None = None
    burn_in: str = "0s"
    treatments: tuple[str | int, ...] = ()

    def __post_init__(self) -> None:
        if not seconds(self.burn_in) < seconds("1000000d" if self.block is None else self.block):
            raise ConfigError(f"log.burn_in {self.burn_in!r} leaves nothing of a block of {self.block!r}; shorten it")
        if self.start is not None:
            try:
                dt.datetime.fromisoformat(self.start)
            except ValueError:
                raise ConfigError(f'log.start must be a date like "2026-03-01", got {self.start!r}') from None
            if self.time is None:
                raise ConfigError('log.start needs the column of time; add time = "…"')
        if str(self.control) == str(self.treatment):
            raise ConfigError(f"log.control and log.treatment are both {self.control!r}; name the two arms")
        labels = [str(label) for label in (self.control, *self.treatments)]
        if len(set(labels)) < len(labels):
            raise ConfigError(f"log.control and log.treatments must differ, got {labels}; name every arm once")


@dataclass(frozen=True)
class Plan:
    """A test of two arms, or of several against one control.

    Attributes:
        goals: Name → what decides; several are adjusted together.
        guardrails: Name → what must not get worse; not adjusted.
        others: Name → what is only reported; left out where its columns are.
        log: How the log is laid out; read by `read_log` alone.
        design: What was randomised: users; clusters; blocks of time (switchback); the places of one list
            (interleaving); or users among several arms.
        users: Planned in all arms (clusters or blocks, where these are randomised); None where no size was planned.
        allocation: Share of users in treatment; of control and one treatment together, where there are several.
        alpha: Significance level, two-sided; intervals cover 1 - alpha.
        srm_alpha: A health check's p-value below this withholds the verdict.
        looks: once, at the planned size; any time; or at the planned shares.
        shares: Of the planned users at each look, rising to 1.
        spending: How looks share alpha, see `group_sequential.SPENDING`.
        adjust: How goals are adjusted: holm or bh; several arms: dunnett, too.
        regressor: The model of the log's covariates: linear, or boosted trees (scikit-learn).
        intervals: Student's t by the delta method, or the bootstrap's percentiles.
        resamples: Of the bootstrap, >= 999.
        prior_sd: Standard deviation of relative effects in tests like this, for the posterior.
    """

    goals: Mapping[str, Metric]
    guardrails: Mapping[str, Metric] = field(default_factory=dict)
    others: Mapping[str, Metric] = field(default_factory=dict)
    log: LogConfig = field(default_factory=LogConfig)
    design: Design = "user"
    users: int | None = None
    allocation: float = 0.5
    alpha: float = 0.05
    srm_alpha: float = 0.001
    looks: Looks = "once"
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    spending: str = "obrien-fleming"
    adjust: str = "holm"
    regressor: Literal["linear", "boosted"] = "linear"
    intervals: Literal["t", "bootstrap"] = "t"
    resamples: int = 1999
    prior_sd: float = 0.1

    def __post_init__(self) -> None:
        for name in ("allocation", "alpha", "srm_alpha"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must be between 0 and 1, both excluded, got {getattr(self, name)}")
        named = [*self.goals, *self.guardrails, *self.others]
        if not self.goals or len(set(named)) < len(named):
            raise ConfigError(f"a plan needs a goal, and each metric once, got {named}; name every metric once")
        if self.users is not None and self.users < 4:
            raise ConfigError(f"users must be >= 4, got {self.users}")
        if not self.prior_sd > 0:
            raise ConfigError(f"prior_sd must be above 0, got {self.prior_sd}; 0.1 is usual")
        if not (self.adjust == "dunnett" and self.design == "multi-arm"):
            check_adjustment(self.adjust)
        if self.resamples < 999:
            raise ConfigError(f"resamples must be >= 999, got {self.resamples}; 1999 is usual")
        self._check_design()
        self._check_looks()

    @property
    def clustered(self) -> bool:
        """Whether something other than the user was randomised, so that errors are those of clusters."""
        return self.design in ("cluster", "switchback")

    def _check_design(self) -> None:
        needs: dict[str, dict[str, Any]] = {
            "cluster": {"log.cluster": self.log.cluster},
            "switchback": {"log.time": self.log.time, "log.start": self.log.start, "log.block": self.log.block},
            "multi-arm": {"log.treatments": self.log.treatments},
        }
        missing = [key for key, value in needs.get(self.design, {}).items() if not value]
        if missing:
            raise ConfigError(f'design = "{self.design}" needs {", ".join(missing)}')
        for key, value in (("cluster", self.log.cluster), ("block", self.log.block)):
            if value is not None and not self.clustered:
                raise ConfigError(f'log.{key} is for design = "cluster" or "switchback", got {self.design!r}')
        only_users: dict[str, Any] = {
            "log.tastes": self.log.tastes,
            "log.strata": self.log.strata,
            'intervals = "bootstrap"': self.intervals == "bootstrap",
        }
        if self.design == "interleaving":  # compared within users, so there is nothing to adjust or to split
            only_users |= {"log.segments": self.log.segments, "log.covariates": self.log.covariates}
        asked = [key for key, value in only_users.items() if value]
        if asked and self.design not in ("user", "multi-arm"):
            raise ConfigError(f"{asked[0]} is for tests whose users are randomised, got design {self.design!r}")

    def _check_looks(self) -> None:
        check_spending(self.spending)
        if self.looks != "planned":
            return
        if self.users is None:
            raise ConfigError('looks = "planned" needs the planned size; add users = …')
        boundaries(self.shares, alpha=self.alpha, spending=self.spending)
        if self.shares[-1] != 1:
            raise ConfigError(f"shares must end with 1, the planned size, got {list(self.shares)}")

    @property
    def metrics(self) -> dict[str, Metric]:
        """All, goals first.

        Example:
            >>> list(Plan({"orders": Metric("orders")}, others={"visits": Metric("visits")}).metrics)
            ['orders', 'visits']
        """
        return {**self.goals, **self.guardrails, **self.others}


def read_plan(path: Path) -> Plan:
    """From a TOML file: keys of `Plan`, a table [log], and tables [goals.NAME], [guardrails.NAME], [others.NAME].

    Raises:
        ConfigError: No TOML, an unknown key, or a value out of range.
    """
    try:
        return from_mapping(Plan, tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is no TOML: {error}") from error
