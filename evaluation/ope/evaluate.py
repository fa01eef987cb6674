"""Every estimator on one log and one policy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import fcluster, linkage

from evaluation.ope.diagnostics import Diagnostics, diagnose, mean_interval
from evaluation.ope.estimators import ESTIMATORS, MODEL
from evaluation.ope.log import BanditLog, Ints
from evaluation.ope.policies import Policy, logged_policy
from evaluation.ope.result import OffPolicyResult, OPEConfig, Scores, Valued, conclude, valued
from evaluation.ope.reward_model import RewardModel, Ridge, assign_folds
from evaluation.ope.rounds import Groups, Rounds, make_rounds
from recsys.errors import DataError

Features = npt.NDArray[np.floating]


def evaluate_policy(
    log: BanditLog,
    policy: Policy,
    config: OPEConfig | None = None,
    *,
    model: RewardModel | None = None,
    action_features: Features | None = None,
    logged: Policy | None = None,
) -> OffPolicyResult:
    """Estimate what ``policy`` would have earned on the rounds of ``log``.

    Args:
        log: Of a policy that drew its actions with known probabilities.
        policy: To be judged; it must not have been learned from this log.
        config: Which estimators, and what must hold.
        model: Of rewards, fitted on all folds but the round's own; `Ridge` when omitted.
        action_features: (n_actions, m) such as style embeddings: for the model's products and for MIPS.
        logged: The logged policy, for MIPS; read off the propensities when omitted.

    Raises:
        DataError: The policy's or the model's answers do not fit the log, or the estimator that decides cannot be
            used.
        ConfigError: An unknown estimator.

    Example:
        >>> from evaluation.ope.policies import Table
        >>> rng = np.random.default_rng(0)
        >>> action = rng.integers(0, 2, 20_000)
        >>> clicked = rng.random(20_000) < np.array([0.2, 0.3])[action]
        >>> log = BanditLog.of(action, clicked, np.full(20_000, 0.5), actions=["original", "retro"])
        >>> found = evaluate_policy(log, Table(np.array([[0.0, 1.0]]), "always retro"))
        >>> found.verdict, round(found["dr"].value, 2), round(found["dr"].difference, 2)
        ('better', 0.3, 0.05)
    """
    config = OPEConfig() if config is None else config
    asked, skipped = config.asked(ESTIMATORS), dict[str, str]()
    groups = _groups(log, config, action_features, logged, skipped) if "mips" in asked else None
    fold, fitted = None, None
    if any(MODEL in ESTIMATORS[name].needs for name in asked):
        fold = assign_folds(len(log), log.unit, config.folds, config.seed)
        fitted = (Ridge(action_features) if model is None else model).fit(log, fold, config.folds)
    rounds = make_rounds(log, policy, fitted=fitted, fold=fold, groups=groups)
    found = diagnose(rounds, unit=log.unit, n_refused=log.n_refused)
    rows = _rows(log, rounds, found, config, skipped)
    reward = mean_interval(log.reward, alpha=config.alpha, size=len(log), unit=log.unit)
    return conclude(policy.name, reward, rows, skipped, found, config)


def group_actions(features: Features, n_groups: int) -> Ints:
    """(n_actions,) group of each action, from 0: Ward's hierarchical clustering of the features.

    Example:
        >>> group_actions(np.array([[0.0], [0.1], [5.0]]), 2).tolist()
        [0, 0, 1]
    """
    if len(features) < 2:
        return np.zeros(len(features), np.int64)
    tree = linkage(np.asarray(features, np.float64), method="ward")
    labels = fcluster(tree, n_groups, criterion="maxclust")
    return np.asarray(np.unique(labels, return_inverse=True)[1], np.int64)


def _groups(
    log: BanditLog, config: OPEConfig, features: Features | None, logged: Policy | None, skipped: dict[str, str]
) -> Groups | None:
    if features is None:
        skipped["mips"] = "it needs features of the actions"
        return None
    try:
        known = logged_policy(log) if logged is None else logged
    except DataError as error:
        skipped["mips"] = str(error)
        return None
    return Groups.of(group_actions(features, config.groups or round(log.n_actions**0.5)), known)


def _rows(
    log: BanditLog, rounds: Rounds, found: Diagnostics, config: OPEConfig, skipped: dict[str, str]
) -> list[Valued]:
    """Each estimator that can be used, worked out one at a time; the others are added to ``skipped``."""
    rows, asked = [], config.asked(ESTIMATORS)
    for name in (n for n in asked if n not in skipped):
        try:
            scores = _scores(name, log, rounds, found, config)
        except DataError as error:
            skipped[name] = str(error)
            continue
        rows.append(valued(name, scores, log.reward, log.unit, config.alpha, name == config.deciding(asked)))
    return rows


def _scores(name: str, log: BanditLog, rounds: Rounds, found: Diagnostics, config: OPEConfig) -> Scores:
    estimator, size = ESTIMATORS[name], found.ess
    if name == "replay":
        _check_replay(log, rounds)
        size = float((rounds.chosen == 1).sum())
    elif name == "dm":
        size = float(found.n)
    values, bound = estimator.values(rounds, config.bounds)
    unclipped = name == "ipw" and bound is None
    return Scores(values, size, bound, "" if unclipped else estimator.assumes)


def _check_replay(log: BanditLog, rounds: Rounds) -> None:
    """Refuse a replay that would mislead."""
    if not np.isin(rounds.chosen, (0.0, 1.0)).all():
        raise DataError("the policy is not deterministic")
    if np.ptp(log.propensity) > 1e-9:
        raise DataError("the log is not uniform: propensities differ")
