"""A search for a model's options with Optuna: seeded trial by trial, pruned, and taken up again where it stopped.

Each trial's sampler is seeded by the search's seed and the number of trials finished before it, so a search that was
interrupted goes on as if it had not been, and a longer one begins with the trials of a shorter one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recsys.config import to_mapping
from recsys.data.dataset import Dataset
from recsys.errors import ArtifactError, ConfigError, DataError, unknown_name
from recsys.extras import require
from recsys.files import stable_hash, write_bytes
from recsys.models.base import Recommender
from recsys.models.validation import JUDGES, Holdout, Judge
from recsys.progress import silenced
from recsys.tuning.rehearsal import METRICS, folds_of, rehearse
from recsys.tuning.space import Range, Space, kind_of, space_of, with_options

State = Literal["complete", "pruned", "failed"]
STARTUP = 10
"""Trials drawn at random before the sampler begins to learn; nothing is pruned before half of them are complete."""


@dataclass(frozen=True)
class Trial:
    """One try.

    Attributes:
        number: From 1, in the order of trying.
        state: ``complete``, ``pruned`` (given up, as worse than half of the others at the same step), or ``failed``.
        value: Mean NDCG@20 over the folds; of a pruned trial where it was given up, of a failed one None.
        options: What was tried, and of a hybrid the epochs that were found best.
        seconds: It took.
        note: Why it failed.
    """

    number: int
    state: State
    value: float | None
    options: Mapping[str, Any]
    seconds: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class Tuning:
    """What a search has found.

    Attributes:
        model: The model's registered name.
        now: NDCG@20 of the options the search began from, on the same folds.
        trials: In the order of trying.
        importance: Option → share of the spread of values that it explains (fANOVA); empty where there are too few
            complete trials.
        space: Where was looked.
        folds: What each fold learned from and was judged by.
        seed: Of the search.
        judge: By which lists.
    """

    model: str
    now: float
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    space: Mapping[str, Range]
    folds: tuple[Mapping[str, Any], ...]
    seed: int
    judge: Judge = "all"

    @property
    def best(self) -> Trial | None:
        """The complete trial of highest value, the first of equal ones; None where none is better than `now`."""
        complete = [t for t in self.trials if t.state == "complete" and t.value is not None and t.value > self.now]
        return max(complete, key=lambda t: t.value or 0.0, default=None)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "model": self.model,
            "metric": METRICS[self.judge],
            "judge": self.judge,
            "now": self.now,
            "best": None if self.best is None else dict(vars(self.best)),
            "importance": dict(self.importance),
            "space": {name: str(span) for name, span in self.space.items()},
            "folds": [dict(fold) for fold in self.folds],
            "seed": self.seed,
            "trials": [dict(vars(trial)) for trial in self.trials],
        }


def tune(
    config: Recommender,
    dataset: Dataset,
    *,
    trials: int = 30,
    folds: int = 2,
    share: float = 0.2,
    seed: int = 0,
    judge: Judge = "all",
    space: Space | None = None,
    journal: Path | None = None,
    mark: str = "",
    say: Callable[[str], None] = lambda line: None,
) -> Tuning:
    """Look for better options than ``config``'s.

    Args:
        config: Where to begin; what the space does not name stays as it is.
        dataset: The train side of a split: the search looks at nothing else.
        trials: How many there are to be in all; those in ``journal`` count.
        folds: Windows of the latest ``share`` that are judged, each from everything before it.
        share: Of the interactions, in (0, 1).
        seed: Of the search. The same seed, data and space give the same trials, interrupted or not.
        judge: By lists over ``all`` items, or by the mean of ``halves``, of warm and of cold items alone.
        space: Option → range; None: what `recsys.tuning.space` has for the model.
        journal: A file that remembers trials; a search over other data, options or ranges begins anew in the same file.
        mark: What the data depend on beside interactions and the blocks' names and shapes.
        say: Told of each trial.

    Raises:
        ConfigError: ``trials`` < 1, or the model has nothing to tune.
        DataError: The split inside ``dataset`` is impossible, or ``config`` itself cannot be fitted.
        MissingExtraError: Optuna is not installed (extra ``tune``).
    """
    require("optuna", extra="tune")
    if judge not in JUDGES:
        raise ConfigError(unknown_name("judge", judge, JUDGES))
    if trials < 1:
        raise ConfigError(f"trials must be >= 1, got {trials}")
    ranges = dict(space_of(config, dataset.item_features) if space is None else space)
    if not ranges:
        raise ConfigError(
            f"nothing of {kind_of(config)} can be tuned on these data; it has no options that matter here"
        )
    windows = folds_of(dataset, share=share, n=folds)
    name = stable_hash(
        [_about(config), {k: str(v) for k, v in ranges.items()}, folds, share, seed, judge, mark, _digest(dataset)]
    )
    with _study(journal, name) as study:
        now = _now(study, config, windows, judge)
        for number in range(len(_finished(study)), trials):
            found = _try(study, config, ranges, windows, _seed(seed, number), judge)
            say(_told(_trial(number + 1, found, {}), trials, f"now {now:.4f}", judge))
        done = tuple(_trial(n, t, ranges) for n, t in enumerate(_finished(study), start=1))
        importance = _importance(study)
    return Tuning(kind_of(config), now, done, importance, ranges, tuple(map(_fold, windows)), seed, judge)


def _about(config: Recommender) -> list[Any]:
    return [kind_of(config), to_mapping(config)]


def _digest(dataset: Dataset) -> str:
    """Of the interactions and of what the features are called; their numbers are not read."""
    digest = hashlib.sha256()
    for array in (dataset.user_idx, dataset.item_idx, dataset.weight, dataset.timestamp.astype(np.int64)):
        digest.update(np.ascontiguousarray(array).tobytes())
    blocks = [[b.name, b.shape] for t in (dataset.item_features, dataset.user_features) for b in t.blocks]
    return stable_hash([digest.hexdigest(), len(dataset.users), len(dataset.items), blocks])


@contextmanager
def _study(journal: Path | None, name: str) -> Iterator[Any]:
    """The search in its file, trials of a process that was killed in the middle set aside."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if journal is not None:
            _mend(journal)
        try:
            storage = None if journal is None else JournalStorage(JournalFileBackend(str(journal)))
            study = optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True, pruner=_pruner()
            )
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise ArtifactError(f"{journal} is damaged ({error}); delete it to begin anew") from error
        for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        yield study
    finally:
        optuna.logging.set_verbosity(before)


def _mend(journal: Path) -> None:
    """Drop a last line of which a process that was killed wrote only the beginning."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    text = journal.read_bytes() if journal.exists() else b""
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        write_bytes(journal, text[:whole])


def _pruner() -> Any:
    from optuna.pruners import MedianPruner

    return MedianPruner(n_startup_trials=STARTUP // 2, n_min_trials=3)


def _seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _finished(study: Any) -> list[Any]:
    """Trials that came to an end: one that was interrupted is a failed one without a reason."""
    ended = study.get_trials(deepcopy=False)
    return [
        t
        for t in ended
        if t.state.name in ("COMPLETE", "PRUNED") or (t.state.name == "FAIL" and "note" in t.user_attrs)
    ]


def _now(study: Any, config: Recommender, folds: Sequence[Holdout], judge: Judge) -> float:
    """What the options given reach, measured once."""
    if "now" not in study.user_attrs:
        with silenced():
            study.set_user_attr("now", float(np.mean([fold.ndcg(config.fit(fold.past), judge) for fold in folds])))
    return float(study.user_attrs["now"])


def _try(study: Any, config: Recommender, space: Space, folds: Sequence[Holdout], seed: int, judge: Judge) -> Any:
    """One trial; what the data refuse is a failed one, with its reason."""
    import optuna

    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
    trial, start = study.ask(), time.perf_counter()
    options = {name: span.suggest(trial, name) for name, span in space.items()}

    def report(step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    value, state = None, optuna.trial.TrialState.COMPLETE
    try:
        outcome = rehearse(with_options(config, options), folds, report, judge)
        value, options = outcome.value, options | dict(outcome.found)
    except optuna.TrialPruned:
        state = optuna.trial.TrialState.PRUNED
    except DataError as error:
        state = optuna.trial.TrialState.FAIL
        trial.set_user_attr("note", str(error))
    trial.set_user_attr("options", options)
    trial.set_user_attr("seconds", round(time.perf_counter() - start, 3))
    return study.tell(trial, value, state=state)


def _trial(number: int, found: Any, space: Space) -> Trial:
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    last = max(found.intermediate_values.items(), default=(0, None))[1]
    attributes = found.user_attrs
    return Trial(
        number=number,
        state=states[found.state.name],
        value=found.value if found.state.name == "COMPLETE" else last,
        options=dict(attributes["options"]),
        seconds=attributes["seconds"],
        note=attributes.get("note", ""),
    )


def _told(trial: Trial, trials: int, now: str, judge: Judge) -> str:
    value = trial.note or f"{METRICS[judge]} {trial.value:.4f}, {now}"
    return f"trial {trial.number} of {trials}: {trial.state}, {value}, {trial.seconds:.1f} s"


def _importance(study: Any) -> dict[str, float]:
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(complete) < STARTUP // 2 or len({t.value for t in complete}) < 2:
        return {}
    require("sklearn", extra="tune")
    found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: float(share) for name, share in found.items()}


def _fold(fold: Holdout) -> dict[str, Any]:
    past = fold.past.timestamp
    return {
        "learned_from": len(past),
        "until": str(past.max().astype("datetime64[s]")),
        "users_judged": len(fold.users),
        "choices": len(fold.item),
        "cold_share": fold.cold_share,
    }
