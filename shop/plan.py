"""How the running test is read: at any time, decided by clicks among products shown; purchases are reported."""

from __future__ import annotations

import tomllib

from evaluation.experiment.plan import Plan
from recsys.config import from_mapping

PLAN = """\
# stylerec analyze events.parquet --plan plan.toml
looks = "any time"

[log]
unit = "user_id"
arm = "arm"
control = "control"
treatment = "treatment"
time = "timestamp"
rows = "events"

[goals.click_through_rate]
kind = "ratio"
numerator = "click"
denominator = "impression"

[others.carts_per_user]
numerator = "cart"

[others.purchases_per_user]
numerator = "purchase"
"""


def shop_plan(allocation: float) -> Plan:
    """The plan, for this share of treatment.

    Example:
        >>> list(shop_plan(0.5).goals)
        ['click_through_rate']
    """
    return from_mapping(Plan, tomllib.loads(PLAN) | {"allocation": allocation})
