"""Re-ranking steps by name, in order, from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

from recsys.config import from_mapping
from recsys.data.recommendations import Recommendations
from recsys.errors import ConfigError, unknown_name
from recsys.rerank.calibration import Calibrate
from recsys.rerank.diversity import DPP, MMR
from recsys.rerank.known import Known
from recsys.rerank.lists import Lists
from recsys.rerank.report import StepReport, summary
from recsys.rerank.rules import Boost, Cap, Exclude, Exposure, Fresh, Pin, Where
from recsys.topk import check_k


class Step(Protocol):
    """One re-ranking step: a frozen dataclass that is called."""

    kind: ClassVar[str]

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """The same users' lists in another order, or without some candidates; ``k`` will be shown."""
        ...


STEPS: Mapping[str, Any] = {s.kind: s for s in (Exclude, Boost, Fresh, Exposure, MMR, DPP, Calibrate, Cap, Pin)}
"""Kind → step."""
PHASES = (("exclude",), ("boost", "fresh", "exposure"), ("mmr", "dpp", "calibrate"), ("cap",), ("pin",))
"""Each may undo what a later one did: values are changed, then lists are chosen by values, then by their order."""


@dataclass(frozen=True, eq=False)
class Reranked:
    """New lists, and what each step did.

    Attributes:
        recommendations: At most k items a user, with the model's scores, which need not fall any more.
        reports: One a step.
    """

    recommendations: Recommendations
    reports: tuple[StepReport, ...]

    def to_text(self) -> str:
        """One line a step."""
        return "\n".join(r.to_text() for r in self.reports) or "no re-ranking"

    def to_frame(self) -> Any:
        """One row a step: its figures."""
        return summary(self.reports)


def rerank(recs: Recommendations, steps: Sequence[Step], *, known: Known, k: int) -> Reranked:
    """Apply ``steps`` in order to candidates and keep ``k``.

    Boosts change values, diversity and calibration choose by values, caps and pins look at the order they find: so
    this is the order in which to put them. Give more candidates than ``k`` (say 5 times), or there is nothing to
    choose from.

    Args:
        recs: Candidates: every user once, ranked.
        steps: From `steps_from`, or made by hand.
        known: What steps may look at.
        k: Items to keep for each user; fewer only where rules leave fewer.

    Raises:
        ConfigError: ``k`` is below 1, or a step needs a column, block or history that is not known.
        DataError: A user appears twice.

    Example:
        >>> from recsys.data.ids import IdMap
        >>> import pandas as pd
        >>> recs = Recommendations.of(["u"] * 3, ["a", "b", "c"], [3.0, 2.0, 1.0], [1, 2, 3])
        >>> known = Known(IdMap.of(["a", "b", "c"]), catalog=pd.DataFrame({"seller": ["x", "x", "y"]}))
        >>> done = rerank(recs, [Cap("seller", limit=1)], known=known, k=2)
        >>> list(done.recommendations.item_id)
        ['a', 'c']
        >>> print(done.to_text())  # doctest: +NORMALIZE_WHITESPACE
        cap by=seller limit=1: 100% of 1 lists changed, 1 items in, 1 out,
        the others moved 0.0 positions; cost 33.3% of relevance
    """
    check_k(k)
    lists, reports = Lists.of(recs, known.items), []
    for step in steps:
        after = step(lists, known, k)
        reports.append(StepReport(in_words(step), lists.top(k), after.top(k), known.items))
        lists = after
    return Reranked(lists.top(k).recommendations(recs), tuple(reports))


def steps_from(tables: Sequence[Mapping[str, Any]], *, where: str = "rerank") -> tuple[Step, ...]:
    """Steps from parsed TOML: one table each, ``kind`` and the step's own keys.

    Raises:
        ConfigError: An unknown kind or key, or a value out of range.

    Example:
        >>> steps_from([{"kind": "cap", "by": "category", "limit": 2}])
        (Cap(by='category', limit=2),)
        >>> steps_from([{"kind": "caps"}])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        recsys.errors.ConfigError: rerank[0]: unknown kind 'caps'; did you mean 'cap'? Known: cap, ...
    """
    steps = tuple(_step(table, f"{where}[{i}]") for i, table in enumerate(tables))
    phase = [next(i for i, kinds in enumerate(PHASES) if step.kind in kinds) for step in steps]
    for i in range(1, len(steps)):
        if phase[i] < phase[i - 1]:
            raise ConfigError(
                f"{where}[{i}]: {steps[i].kind} would undo {steps[i - 1].kind}; put kinds in the order "
                + ", ".join("/".join(kinds) for kinds in PHASES)
            )
    return steps


def check_steps(steps: Sequence[Step], *, columns: Sequence[str], blocks: Sequence[str]) -> None:
    """Refuse steps that ask for what a catalogue and its features do not have.

    Args:
        steps: What is to be done.
        columns: Of the catalogue.
        blocks: Of the item features.

    Raises:
        ConfigError: A column or block does not exist.
    """
    for i, step in enumerate(steps):
        where: Any = getattr(step, "where", None)
        asked = [(where.column, columns, "catalogue column")] if where is not None else []
        if getattr(step, "column", None) is not None:
            asked.append((step.column, columns, "catalogue column"))  # type: ignore[attr-defined]
        asked += [(name, blocks, "feature block") for name in getattr(step, "blocks", ())]
        if hasattr(step, "by") and isinstance(step.by, str):
            asked.append((step.by, [*columns, *blocks], "catalogue column or feature block"))
        for name, known, what in asked:
            if name not in known:
                raise ConfigError(f"rerank[{i}]: {unknown_name(what, name, sorted(set(known)))}")


def read_steps(path: Path) -> tuple[Step, ...]:
    """Steps from the ``[[rerank]]`` tables of a TOML file.

    Raises:
        ConfigError: The file is no TOML, holds anything else, or a table is wrong.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML ({error})") from error
    other = set(content) - {"rerank"}
    if other or not isinstance(content.get("rerank", []), list):
        raise ConfigError(f"{path} must hold [[rerank]] tables only, got {sorted(content)}")
    return steps_from(content.get("rerank", []))


def in_words(step: Any) -> str:
    """Kind and settings of a step.

    Example:
        >>> in_words(Cap("category", limit=2))
        'cap by=category limit=2'
    """
    settings = {f.name: getattr(step, f.name) for f in fields(step)}
    return " ".join([step.kind, *(f"{name}={_short(v)}" for name, v in settings.items() if v is not None)])


def _short(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value.in_words() if isinstance(value, Where) else str(value)


def _step(table: Mapping[str, Any], where: str) -> Step:
    if not isinstance(table, Mapping) or "kind" not in table:
        raise ConfigError(f"{where} must be a table with a kind, got {table!r}; known kinds: {', '.join(STEPS)}")
    if not isinstance(table["kind"], str) or table["kind"] not in STEPS:
        raise ConfigError(f"{where}: {unknown_name('kind', str(table['kind']), STEPS)}")
    step: Step = from_mapping(STEPS[table["kind"]], {k: v for k, v in table.items() if k != "kind"}, where=where)
    return step
