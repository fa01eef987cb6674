"""Recommend from a finished study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.cells import TextColumn
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL, Recommendations
from recsys.data.source import read_table
from recsys.errors import ArtifactError, ConfigError, DataError, unknown_name
from recsys.models.artifacts import load_model
from recsys.models.base import FittedRecommender, PresentationAware
from recsys.rerank.chain import Step, in_words, rerank, steps_from
from recsys.rerank.known import Known
from recsys.rerank.presentation import choose_presentation
from recsys.rerank.rules import Boost, Exclude, Pin
from recsys.topk import check_k
from study.learning import dataset_of
from study.run import Study
from study.stages.features import table_for
from study.stages.fit import richest
from study.taste import look_taste

BEST = "best"
CANDIDATES = 5
"""Times k: from how many re-ranking chooses."""


def open_model(run: Path, name: str) -> FittedRecommender:
    """A fitted model of a study by name.

    Raises:
        ArtifactError: The study has no such model.
    """
    folder = Study.open(run).folder / "models"
    known = sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if name not in known:
        raise ArtifactError(unknown_name("model", name, known))
    return load_model(folder / name)


def read_users(path: Path | None) -> list[str] | None:
    """The user_id column of a table, or None for everybody."""
    if path is None:
        return None
    frame = read_table(path).frame
    if "user_id" not in frame.columns:
        raise DataError(f"{path} has no column user_id; it has {', '.join(map(str, frame.columns))}")
    return list(TextColumn.of(frame["user_id"]).array())


def recommend_from(
    run: Path,
    model: str,
    users: Sequence[str] | None,
    *,
    k: int,
    look: str,
    rules: Sequence[Step] | None = None,
    exclude_seen: bool = True,
    skip_unknown: bool = False,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Recommend to ``users`` (None: all) and say in which presentation to show each item, and for ``best`` why.

    Args:
        run: The study folder.
        model: The model's name in the study.
        users: Their ids; each is answered once, however often it is there.
        k: Items a user.
        look: A look, ``original`` or ``best``.
        rules: Re-ranking in place of the study's own.
        exclude_seen: Leave out what users already have.
        skip_unknown: Leave out users whom the model does not know.
        say: Told of users left out, and of what re-ranking and the choice of looks did.

    Raises:
        ConfigError: The study has no such look, or a rule asks for what is not known.
        UnknownIdError: A user the model does not know, unless ``skip_unknown``.
    """
    check_k(k)
    study = Study.open(run)
    choices = [ORIGINAL, BEST, *study.looks] if study.looks else [ORIGINAL]
    if look not in choices:
        raise ConfigError(unknown_name("look", look, choices))
    fitted = open_model(run, model)
    wanted = list(fitted.users.ids if users is None else dict.fromkeys(users))
    if skip_unknown:
        unknown = [user for user in wanted if user not in fitted.users]
        wanted = [user for user in wanted if user in fitted.users]
        if unknown:
            say(f"{len(unknown)} unknown {'user' if len(unknown) == 1 else 'users'} left out, first {unknown[0]!r}")
    steps = steps_from(study.config.rerank) if rules is None else tuple(rules)
    if steps:
        recs = _ruled(study, fitted, wanted, steps, k=k, exclude_seen=exclude_seen, say=say)
    else:
        recs = fitted.recommend(wanted, k=k, exclude_seen=exclude_seen)
    return recs.to_frame() if look == ORIGINAL else present(study, model, recs, look, say=say)


def _ruled(
    study: Study,
    fitted: FittedRecommender,
    users: Sequence[str],
    steps: Sequence[Step],
    *,
    k: int,
    exclude_seen: bool,
    say: Callable[[str], None],
) -> Recommendations:
    """Lists by the rules: what they exclude is not proposed at all, so that it leaves no list short."""
    known = known_of(study)
    denied = np.zeros(len(known.items), bool)
    for step in (s for s in steps if isinstance(s, Exclude)):
        denied |= (out := step.where.items(known))
        say(f"{in_words(step)}: {int(out.sum())} items are not proposed")
    for where in (s.where for s in steps if isinstance(s, Exclude | Boost | Pin)):
        if absent := where.absent(known):
            say(f"note: {absent}")
    deny = known.items.decode(np.flatnonzero(denied))
    recs = fitted.recommend(users, k=CANDIDATES * k, exclude_seen=exclude_seen, deny=deny)
    chosen = [s for s in steps if not isinstance(s, Exclude)]
    done = rerank(recs, chosen, known=known, k=k)
    if chosen:
        say(done.to_text())
    return done.recommendations


def known_of(study: Study) -> Known:
    """What rules may look at: the catalogue, the features of the original presentations, and histories."""
    data = dataset_of(study).with_item_features(table_for(study, ORIGINAL if study.encoders else None))
    return Known.of(data, Catalog.load(study.folder / "catalog.parquet"), seed=study.config.seed)


def similar_from(run: Path, model: str, items: Sequence[str], *, k: int) -> pd.DataFrame:
    """The items most like ``items``: query, item_id, title, category, score, rank."""
    found = open_model(run, model).similar_items(items, k=k).to_frame().rename(columns={"user_id": "query"})
    about = Catalog.load(Study.open(run).folder / "catalog.parquet").frame.set_index("item_id")
    named = found.join(about[["title", "category"]], on="item_id")
    return named[["query", "item_id", "title", "category", "score", "rank"]]


def present(
    study: Study, model: str, recs: Recommendations, look: str, *, say: Callable[[str], None] = print
) -> pd.DataFrame:
    """Show each item in ``look`` where that was accepted, else as it is.

    ``best`` asks the model, where it sees pictures: the accepted look in which its score for this user is highest.
    Other models know nothing of looks; then it is the look that the user's history leans to.
    """
    fitted = open_model(study.folder.path, model)
    sees_pictures = richest(study, study.config.make_models()[model]) == ORIGINAL
    if look == BEST and sees_pictures and isinstance(fitted, PresentationAware):
        models = {name: fitted.with_item_features(table_for(study, name)) for name in (ORIGINAL, *study.looks)}
        shown = choose_presentation(recs, models, Presentations.load(study.folder / "presentations.parquet"))
        say(shown.to_text())
        return shown.to_frame().drop(columns="gain")
    taste = look_taste(study, data := dataset_of(study))
    user, item = data.users.encode(recs.user_id), data.items.encode(recs.item_id)
    wanted = taste.best[user] if look == BEST else np.full(len(user), taste.looks.index(look))
    names, accepted = np.asarray(taste.looks, dtype=object)[wanted], taste.accepted[item, wanted]
    frame = replace(recs, presentation=np.where(accepted, names, ORIGINAL).astype(object)).to_frame()
    if look == BEST:
        frame["reason"] = [
            f"the history leans to {name}" + ("" if ok else ", which was refused for this item")
            for name, ok in zip(names, accepted, strict=True)
        ]
        counts = frame["presentation"].value_counts()
        say(f"{len(frame)} items shown: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    return frame


def titles(catalog: pd.DataFrame) -> dict[str, str]:
    """item_id → title, the id where there is none."""
    return {i: t or i for i, t in zip(catalog["item_id"], catalog["title"].fillna(""), strict=True)}
