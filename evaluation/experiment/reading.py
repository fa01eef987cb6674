"""A log of any size to one row a user: rows are summed where they lie, by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan, seconds
from recsys.errors import DataError, unknown_name
from recsys.extras import require

MEMORY = "1500MB"
"""What DuckDB may hold; beyond it spills to disk."""

OWN = ("unit", "arm", "other_arm", "rows_of_user", "first", "exposed", "cluster")
"""Columns that the table of users has itself."""


@dataclass(frozen=True, eq=False)
class Log:
    """What a log holds of a test.

    Attributes:
        users: One row a user (a user in a cluster, where clusters were randomised), as `analyze` takes it.
        days: Sums by day and arm of the first goal, as `by_day` takes them; None without a column of time.
        problems: What was found wrong on the way, in words.
    """

    users: pd.DataFrame
    days: pd.DataFrame | None
    problems: tuple[str, ...]


def read_log(source: str | Path | pd.DataFrame, plan: Plan) -> Log:
    """Sum a log over each user.

    A value that is missing in one row makes that user's sum missing. Users seen in both arms are left out and named
    among the problems. The past is what came before the plan's ``start``; where a table of users holds ``pre_`` columns
    already, they are taken.

    Args:
        source: Parquet or CSV (also ``folder/*.parquet``), or a data frame.
        plan: Says which columns are what, and what is needed.

    Raises:
        DataError: Missing, unreadable, without a column that the plan names, or without rows of both arms' labels.
        MissingExtraError: DuckDB is not installed.

    Example:
        >>> rows = pd.DataFrame({"user_id": ["a", "a", "b"], "arm": [0, 0, 1], "click": [1, 1, 0]})
        >>> log = read_log(rows, Plan({"clicks_per_user": Metric("click")}))
        >>> log.users.sort_values("unit")[["unit", "arm", "click"]].values.tolist()
        [['a', 0, 2.0], ['b', 1, 0.0]]
    """
    with _opened(source) as db:
        columns = [row[0] for row in db.execute("DESCRIBE log").fetchall()]
        query = _Query(plan, columns)
        query.look_for_holes(db)
        _check_labels(db, plan.log)
        if plan.log.time is not None:
            # A table, so that its rows are read once for the figure that both queries need.
            db.execute(f"CREATE TABLE span AS {query.span()}")
        users = db.sql(query.users()).to_arrow_table().to_pandas()
        days = db.sql(query.days()).to_arrow_table().to_pandas() if query.has_days else None
    crossed = _crossed(users, plan)
    n, what = _count(users, crossed, plan), WHAT.get(plan.design, "users")
    words = f"{n} {what} were seen in both arms; they are left out"
    repeated = users.pop("rows_of_user") > 1
    twice = f"{int(repeated.sum())} users have more than one row; the log must hold one row a user"
    problems = [words] if crossed.any() else []
    problems += [twice] if plan.log.level == "user" and repeated.any() else []
    return Log(users[~crossed].reset_index(drop=True), days, tuple(problems))


WHAT = {"cluster": "clusters", "switchback": "blocks of time"}
"""That is randomised, where it is not users."""


def _crossed(users: pd.DataFrame, plan: Plan) -> pd.Series:
    """(n,) whether what was randomised was seen in both arms."""
    crossed = users["arm"] != users.pop("other_arm")
    if not plan.clustered:
        return crossed
    both = users.groupby("cluster")["arm"].transform("nunique") > 1
    return both | users["cluster"].isin(users.loc[crossed, "cluster"])


def _count(users: pd.DataFrame, which: pd.Series, plan: Plan) -> int:
    return int(users.loc[which, "cluster"].nunique()) if plan.clustered else int(which.sum())


def read_history(source: str | Path | pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """One row a user, as `read_log` sums them, of a log without a test in it: the ground of a plan.

    Example:
        >>> rows = pd.DataFrame({"user_id": ["a", "a", "b"], "click": [1, 1, 0]})
        >>> read_history(rows, Plan({"clicks_per_user": Metric("click")}))["click"].sort_values().tolist()
        [0.0, 2.0]
    """
    with _opened(source) as db:
        columns = [row[0] for row in db.execute("DESCRIBE log").fetchall()]
        query = _Query(plan, columns, split=False)
        query.look_for_holes(db)
        if plan.log.time is not None:
            db.execute(f"CREATE TABLE span AS {query.span()}")
        users: pd.DataFrame = db.sql(query.users()).to_arrow_table().to_pandas()
    return users.drop(columns=["arm", "other_arm", "rows_of_user"])


def read_teams(source: str | Path | pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """One row a user of an interleaved log.

    Columns are unit, and for either team (0 control, 1 treatment) the sums ``<column>_0``, ``<column>_1`` over the
    rows that it picked, and their number, ``rows_0``, ``rows_1``.

    Example:
        >>> rows = pd.DataFrame({"user_id": ["a", "a", "b"], "arm": [0, 1, 1], "click": [1, 1, 0]})
        >>> plan = Plan({"clicks": Metric("click")}, design="interleaving")
        >>> read_teams(rows, plan).sort_values("unit")[["unit", "click_0", "click_1"]].values.tolist()
        [['a', 1.0, 1.0], ['b', 0.0, 0.0]]
    """
    with _opened(source) as db:
        columns = [row[0] for row in db.execute("DESCRIBE log").fetchall()]
        query = _Query(plan, columns)
        _check_labels(db, plan.log)
        found: pd.DataFrame = db.sql(query.teams()).to_arrow_table().to_pandas()
        return found


@contextmanager
def _opened(source: str | Path | pd.DataFrame) -> Iterator[Any]:
    """A connection with the view ``log``."""
    duckdb = require("duckdb", extra="sql")
    config = {"memory_limit": MEMORY, "preserve_insertion_order": False, "autoinstall_known_extensions": False}
    with TemporaryDirectory() as spilled, duckdb.connect(config=config | {"temp_directory": spilled}) as db:
        try:
            db.execute("SET enable_progress_bar = false")
            if isinstance(source, pd.DataFrame):
                db.register("log", source)
            else:
                db.execute(f"CREATE VIEW log AS SELECT * FROM {_reader(str(source))}")
            yield db
        except duckdb.Error as error:
            raise DataError(f"the log cannot be read: {str(error).splitlines()[0]}") from error


def _reader(text: str) -> str:
    path = Path(text)
    if "*" not in text and not path.is_file():
        raise DataError(f"{text} does not exist; name a Parquet or CSV file, or folder/*.parquet")
    literal = text.replace("'", "''")
    if "*" in text:
        return f"read_parquet('{literal}')" if text.endswith("parquet") else f"read_csv('{literal}')"
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    return f"read_parquet('{literal}')" if parquet else f"read_csv('{literal}', sample_size = 100000)"


def _check_labels(db: Any, log: LogConfig) -> None:
    found = {row[0] for row in db.execute(f"SELECT DISTINCT CAST({_name(log.arm)} AS VARCHAR) FROM log").fetchall()}
    missing = [label for label in (log.control, log.treatment) if str(label) not in found]
    if missing:
        known = sorted(label for label in found if label is not None)
        raise DataError(unknown_name(f"arm in column {log.arm!r}", missing[0], known) + "; set log.control, treatment")


class _Query:
    """The two statements over the view ``log``."""

    def __init__(self, plan: Plan, columns: list[str], *, split: bool = True) -> None:
        self.plan, self.log, self.columns = plan, plan.log, columns
        self.arm = _arm(plan.log) if split else "0"
        named = [self.log.unit, self.log.arm if split else None, self.log.time, self.log.exposed, self.log.cluster]
        for name in [*named, *self.known_before, *self.log.distinct.values()]:
            if name is not None and name not in columns:
                raise DataError(unknown_name("column of the log", name, columns))
        for name in self.known_before:
            if name in OWN:
                raise DataError(f"the column name {name!r} is taken; rename the log's column of that name")
        decisive = dict.fromkeys(c for m in (*plan.goals.values(), *plan.guardrails.values()) for c in m.columns)
        others = dict.fromkeys(c for m in plan.others.values() for c in m.columns if self._known(c))
        for name in decisive:
            if not self._known(name):
                raise DataError(unknown_name("column of the log", name, [*columns, self.log.rows, *self.log.distinct]))
        self.counted = [*dict.fromkeys([*decisive, *others])]
        self.holed: frozenset[str] = frozenset(self.counted)

    @property
    def known_before(self) -> list[str]:
        """Columns that are the same in all rows of a user."""
        log, strata = self.log, [] if self.log.strata is None else [self.log.strata]
        return list(dict.fromkeys([*log.segments, *log.tastes, *log.covariates, *strata]))

    @property
    def first(self) -> Metric:
        """The goal whose effect is shown by half and by day."""
        return next(iter(self.plan.goals.values()))

    @property
    def has_days(self) -> bool:
        daily = self.log.time is not None and self.log.level == "row" and not self.plan.clustered
        return daily and self.first.kind in ("mean", "ratio")

    def look_for_holes(self, db: Any) -> None:
        """Columns without a missing value need no counting of them, user by user."""
        summed = [c for c in self.counted if c in self.columns and c not in self.log.distinct]
        if summed:
            known = db.execute(
                f"SELECT count(*), {', '.join(f'count({_name(c)})' for c in summed)} FROM log"
            ).fetchall()[0]
            self.holed = frozenset(c for c, n in zip(summed, known[1:], strict=True) if n < known[0])

    def span(self) -> str:
        """The middle of the test, to tell its halves apart."""
        time = _moment(self.log)
        return f"SELECT min({time}) + (max({time}) - min({time})) / 2 AS middle FROM log WHERE {self._during()}"

    def users(self) -> str:
        log, before = self.log, self.log.start is not None and self.plan.design != "switchback"
        parts = [
            f"{_name(log.unit)} AS unit",
            "CAST(min(arm_) AS INTEGER) AS arm",
            "CAST(max(arm_) AS INTEGER) AS other_arm",
        ]
        parts.append("count(*) FILTER (now_) AS rows_of_user")
        if self.plan.clustered:
            parts.append("cluster_ AS cluster")
        for name in self.counted:
            parts.append(f"{self._sum(name, 'now_')} AS {_name(name)}")
            if before:
                parts.append(f"{self._sum(name, 'NOT now_')} AS {_name(f'pre_{name}')}")
            elif f"pre_{name}" in self.columns:
                parts.append(f"CAST(sum({_name(f'pre_{name}')}) AS DOUBLE) AS {_name(f'pre_{name}')}")
        if self.has_days:
            parts += [f"coalesce({self._sum(c, 'late_')}, 0) AS {_name(f'late_{c}')}" for c in self.first.columns]
        if log.time is not None:
            parts.append("min(time_) FILTER (now_) AS first")
        if log.exposed is not None:
            parts.append(f"CAST(bool_or(CAST({_name(log.exposed)} AS BOOLEAN)) FILTER (now_) AS INTEGER) AS exposed")
        parts += [f"min({_name(c)}) AS {_name(c)}" for c in self.known_before]
        listed = ",\n  ".join(parts)
        by = f"{_name(log.unit)}, cluster_" if self.plan.clustered else _name(log.unit)
        # Folds and resamples go by row, so that rows must come in one order; sums need none.
        drawn = log.covariates or self.plan.intervals == "bootstrap"
        order = f" ORDER BY {by}" if drawn else ""
        return f"SELECT {listed}\nFROM ({self._rows()}) GROUP BY {by} HAVING min(arm_) IS NOT NULL{order}"

    def teams(self) -> str:
        """Sums over the rows that either team picked; a user to whom a team showed nothing has 0 of it."""
        parts = [f"{_name(self.log.unit)} AS unit"]
        for side in (0, 1):
            which = f"now_ AND arm_ = {side}"
            for c in self.counted:
                parts.append(f"CASE WHEN count(*) FILTER ({which}) = 0 THEN 0 ELSE {self._sum(c, which)} END")
                parts[-1] += f" AS {_name(f'{c}_{side}')}"
            parts.append(f"count(*) FILTER ({which}) AS rows_{side}")
        return f"SELECT {', '.join(parts)} FROM ({self._rows()}) GROUP BY unit HAVING min(arm_) IS NOT NULL"

    def days(self) -> str:
        """Users of a day first, then their sums: users are the units of a day, too."""
        below = self.first.denominator
        x, y = self._sum(self.first.numerator, "now_"), "1" if below is None else self._sum(below, "now_")
        inner = (
            f"SELECT CAST(time_ AS DATE) AS day, arm_ AS arm, CAST({x} AS DOUBLE) AS x, CAST({y} AS DOUBLE) AS y "
            f"FROM ({self._rows()}) WHERE now_ AND arm_ IS NOT NULL GROUP BY 1, 2, {_name(self.log.unit)}"
        )
        return (
            "SELECT day, arm, count(*) AS n, sum(x) AS x, sum(x * x) AS xx, sum(y) AS y, sum(y * y) AS yy, "
            f"sum(x * y) AS xy FROM ({inner}) GROUP BY 1, 2"
        )

    def _rows(self) -> str:
        """Every row with what is asked of it many times: its time, its part of the test, and its arm there."""
        during = self._during()
        parts = ["*", f"({during}) AS now_", f"CASE WHEN {during} THEN {self.arm} END AS arm_"]
        if self.plan.clustered:
            parts.append(f"{self._cluster()} AS cluster_")
        if self.log.time is not None:
            time = _moment(self.log)
            parts += [f"{time} AS time_", f"({during} AND {time} >= (SELECT middle FROM span)) AS late_"]
        return f"SELECT {', '.join(parts)} FROM log"

    def _known(self, name: str) -> bool:
        return name in self.columns or name == self.log.rows or name in self.log.distinct

    def _during(self) -> str:
        """Whether a row belongs to the test; in a switchback, burn-in does not."""
        if self.log.start is None:
            return "TRUE"
        begun = f"{_moment(self.log)} >= TIMESTAMP '{self.log.start}'"
        if self.log.block is None:
            return begun
        within = f"{self._elapsed()} - {self._block()} * {seconds(self.log.block)}"
        return f"({begun} AND {within} >= {seconds(self.log.burn_in)})"

    def _elapsed(self) -> str:
        return f"(epoch({_moment(self.log)}) - epoch(TIMESTAMP '{self.log.start}'))"

    def _block(self) -> str:
        return f"floor({self._elapsed()} / {seconds(self.log.block or '1s')})"

    def _cluster(self) -> str:
        """What was randomised: a cluster, a block of time, or a cluster in a block of time."""
        parts = [] if self.log.cluster is None else [f"CAST({_name(self.log.cluster)} AS VARCHAR)"]
        parts += [] if self.log.block is None else [f"CAST(CAST({self._block()} AS BIGINT) AS VARCHAR)"]
        return " || ' ' || ".join(parts)

    def _sum(self, name: str, which: str) -> str:
        if name in self.log.distinct:
            return f"CAST(count(DISTINCT {_name(self.log.distinct[name])}) FILTER ({which}) AS DOUBLE)"
        if name not in self.columns:
            return f"CAST(count(*) FILTER ({which}) AS DOUBLE)"
        total = f"CAST(sum({_name(name)}) FILTER ({which}) AS DOUBLE)"
        if name not in self.holed:
            return total
        return f"CASE WHEN count({_name(name)}) FILTER ({which}) = count(*) FILTER ({which}) THEN {total} END"


def _arm(log: LogConfig) -> str:
    labels = [str(label).replace("'", "''") for label in (log.control, log.treatment)]
    column = f"CAST({_name(log.arm)} AS VARCHAR)"
    return f"CASE {column} WHEN '{labels[0]}' THEN 0 WHEN '{labels[1]}' THEN 1 END"


def _moment(log: LogConfig) -> str:
    return f"CAST({_name(log.time or '')} AS TIMESTAMP)"


def _name(column: str) -> str:
    """A column's name as SQL takes it, whatever it holds."""
    return '"' + column.replace('"', '""') + '"'
