"""Judge a policy by a log: `stylerec ope`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evaluation.ope.evaluate import evaluate_policy
from evaluation.ope.log import BanditLog
from evaluation.ope.page import to_markdown, to_svg
from evaluation.ope.policies import Policy, Scored, Scorer, Uniform, chosen_by, recommender_scores, thompson
from evaluation.ope.reading import LogColumns, read_log
from evaluation.ope.result import OffPolicyResult, OPEConfig
from evaluation.ope.slates import Ranked, SlateLog, evaluate_slates
from recsys.data.cells import TextColumn, parse_numbers
from recsys.data.recommendations import ORIGINAL
from recsys.data.source import RawTable, read_table
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.files import atomic_write, write_json
from study.run import Study
from study.serving import open_model
from study.stages.features import table_for

UNIFORM, THOMPSON, MODEL = "uniform", "thompson", "model"


@dataclass(frozen=True)
class PolicySource:
    """Where a policy comes from.

    Attributes:
        policy: ``uniform``, ``thompson``, ``model``, or a table: which action for which context.
        prior: Table of the Beta distributions of Thompson sampling: action, alpha, beta.
        run: Finished study, for ``model`` and for the features of actions.
        model: Which of its models.
        block: Which of its feature blocks describes the actions; "": none.
        temperature: Of the softmax of a model's scores; None: the best.
        epsilon: Chance that a model's policy draws from all alike.
        otherwise: Action for contexts that a table lacks.
    """

    policy: str
    prior: Path | None = None
    run: Path | None = None
    model: str = "hybrid"
    block: str = ""
    temperature: float | None = None
    epsilon: float = 0.0
    otherwise: str = ""


def judge(
    log: Path, source: PolicySource, columns: LogColumns, config: OPEConfig, *, out: Path | None = None
) -> OffPolicyResult:
    """Read a log, judge a policy by it and, with ``out``, write ope.json, ope.md and ope.svg there.

    Args:
        log: One row an impression.
        source: Of the policy.
        columns: Of the log; with a page, whole pages are judged.
        config: Estimators and limits.
        out: A folder.

    Raises:
        DataError: The log or the policy cannot be used.
        ConfigError: What the policy needs is not given.
    """
    table = _table(source)
    first = _prior(source)[0] if source.policy == THOMPSON else _named(table, columns.action)
    rounds = read_log(log, columns, actions=first)
    features = _features(source, rounds)
    if columns.page:
        found = evaluate_slates(SlateLog.from_rounds(rounds), _ranked(source, rounds), config)
    else:
        found = evaluate_policy(
            rounds, _policy(source, table, rounds, columns, config.seed), config, action_features=features
        )
    if out is not None:
        write_json(out / "ope.json", found.to_json())
        for name, text in (("ope.md", to_markdown(found)), ("ope.svg", to_svg(found))):
            with atomic_write(out / name, "w") as file:
                file.write(text)
    return found


def _table(source: PolicySource) -> RawTable | None:
    if source.policy in (UNIFORM, THOMPSON, MODEL):
        return None
    if not Path(source.policy).exists():
        raise ConfigError(f"{unknown_name('policy', source.policy, (UNIFORM, THOMPSON, MODEL))}, or a table's path")
    return read_table(source.policy, name="policy")


def _named(table: RawTable | None, action: str) -> list[str]:
    if table is None or action not in table.frame.columns:
        return []
    return sorted(set(TextColumn.of(table.frame[action]).values) - {""})


def _policy(source: PolicySource, table: RawTable | None, log: BanditLog, columns: LogColumns, seed: int) -> Policy:
    if source.policy == UNIFORM:
        return Uniform(log.n_actions)
    if source.policy == THOMPSON:
        _, alpha, beta = _prior(source)
        if len(alpha) != log.n_actions:
            missing = log.actions.ids[len(alpha) :].tolist()
            raise DataError(f"the prior has no row for {missing[:3]}, which the log shows; add alpha and beta of each")
        return thompson(alpha, beta, rng=np.random.default_rng(seed), n_positions=log.n_positions)
    if source.policy == MODEL:
        name = f"model {source.model}"
        return Scored(_scorer(source, log), source.temperature, source.epsilon, name)
    assert table is not None
    keys = [c for c in columns.context if c in table.frame.columns]
    share = "probability" if "probability" in table.frame.columns else ""
    return chosen_by(
        table.frame,
        log,
        action=columns.action,
        keys=keys,
        probability=share,
        otherwise=source.otherwise,
        name=Path(source.policy).stem,
    )


def _ranked(source: PolicySource, log: BanditLog) -> Ranked:
    if source.policy == UNIFORM:
        return Ranked(lambda context: np.zeros((len(context), log.n_actions)), temperature=1.0, name=UNIFORM)
    if source.policy == MODEL:
        return Ranked(_scorer(source, log), source.temperature, source.epsilon, f"model {source.model}")
    raise ConfigError(f"whole pages can be judged for the policies {UNIFORM} and {MODEL}, got {source.policy!r}")


def _scorer(source: PolicySource, log: BanditLog) -> Scorer:
    if source.run is None:
        raise ConfigError("the policy `model` needs a finished study; name it with --run")
    return recommender_scores(open_model(source.run, source.model), log)


def _prior(source: PolicySource) -> tuple[list[str], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if source.prior is None:
        raise ConfigError("the policy `thompson` needs its Beta distributions; name their table with --prior")
    frame = read_table(source.prior, name="prior").frame
    for name in ("action", "alpha", "beta"):
        if name not in frame.columns:
            raise DataError(f"prior: {unknown_name('column', name, map(str, frame.columns))}")
    actions = TextColumn.of(frame["action"]).array().tolist()
    if len(set(actions)) < len(actions):
        raise DataError("prior: an action is there twice; leave one row for each")
    return actions, parse_numbers(frame["alpha"]), parse_numbers(frame["beta"])


def _features(source: PolicySource, log: BanditLog) -> npt.NDArray[np.float32] | None:
    """(n_actions, m) from a study's original presentations."""
    if not source.block:
        return None
    if source.run is None:
        raise ConfigError(f"the feature block {source.block!r} needs a finished study; name it with --run")
    block = table_for(Study.open(source.run), ORIGINAL).align(log.actions)[source.block]
    values = block.values
    return np.asarray(values if isinstance(values, np.ndarray) else values.toarray(), np.float32)
