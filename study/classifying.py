"""Classify photos by style: a table of labels and photos in, a classifier, its evaluation, a column and a block out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.stored import save_frame
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.files import atomic_write, file_hash, stable_hash
from study.pictures import picture_names
from style.base import Encoder
from style.classify.classifier import Classifier
from style.classify.groups import PerceptualHash, codes_of, merge_groups, near_duplicates, split_groups, title_groups
from style.classify.labels import Codes, Labels
from style.classify.predictions import Predictions
from style.classify.probe import ProbeConfig, fit_probe
from style.classify.propagate import PropagateConfig, fit_propagated
from style.classify.prototype import fit_prototypes
from style.classify.report import write_report
from style.classify.weak import read_rules, weak_labels
from style.encoders.make import make_encoder
from style.features import embed
from style.imagestore import ImageStore

NAMED = 3
"""Photos that a message names."""
METHODS: Mapping[str, Callable[[FeatureTable, Labels, Codes, ProbeConfig], Classifier]] = {
    "probe": fit_probe,
    "prototypes": lambda table, labels, _, config: fit_prototypes(table, labels, threshold=config.threshold),
    "propagate": lambda table, labels, groups, config: fit_propagated(
        table, labels, groups, PropagateConfig(teacher=config)
    ),
}


@dataclass(frozen=True)
class Source:
    """Where items, their labels and their photos are.

    Attributes:
        images: Folder or zip.
        table: CSV or Parquet of items; None: every photo is an item, and with ``folders`` its folder is its label.
        item: The table's column of ids.
        image: Its column of file names; "" for ``<id>.jpg``.
        title: Its column of titles; "" for none.
        group: Its column of what belongs together beside; "" for none.
    """

    images: Path
    table: Path | None = None
    item: str = "item_id"
    image: str = ""
    title: str = ""
    group: str = ""


@dataclass(frozen=True, eq=False)
class Described:
    """Items whose photos could be read.

    Attributes:
        frame: item_id, image, title and the table's further columns.
        table: Their features.
        hashes: (n, 64) see `PerceptualHash`.
    """

    frame: pd.DataFrame
    table: FeatureTable
    hashes: Any

    def groups(self, column: str) -> Codes:
        """(n,) near-duplicates and titles that are alike but for a colour, merged with the groups of a column."""
        semantic = next(block.values for block in self.table.blocks)
        parts = [near_duplicates(np.asarray(semantic), hashes=self.hashes), title_groups(self.frame["title"])]
        if column:
            parts.append(codes_of(text_column(self.frame, column)))
        return merge_groups(*parts)


def read_items(source: Source) -> pd.DataFrame:
    """The items with item_id, image, title; of a folder also ``folder``, the class, and ``photo``, the file's stem."""
    if source.table is None:
        with ImageStore.open(source.images) as store:
            paths = [PurePosixPath(name) for name in picture_names(store)]
        rows = {"item_id": [p.as_posix() for p in paths], "image": [p.as_posix() for p in paths]}
        rows |= {"title": [""] * len(paths), "folder": [p.parent.name for p in paths], "photo": [p.stem for p in paths]}
        return pd.DataFrame(rows, dtype=object)
    named = {"item_id": source.item, "image": source.image, "title": source.title}
    catalog = Catalog.read(source.table, columns={ours: theirs for ours, theirs in named.items() if theirs})
    return catalog.frame


def describe(
    source: Source, frame: pd.DataFrame, encoders: Sequence[str], work: Path, say: Callable[[str], None]
) -> Described:
    """Features of every photo; items whose photo cannot be read are told and left out.

    Raises:
        DataError: No photo could be read.
    """
    made: list[Encoder] = [make_encoder(name) for name in encoders]
    names, ids = frame["image"].tolist(), frame["item_id"].tolist()
    with ImageStore.open(source.images) as store:
        key = stable_hash([ids, names, file_hash(source.images) if source.images.is_file() else str(source.images)])
        done = embed(
            lambda i: store.read(names[i]), len(ids), [*made, PerceptualHash()], work, key=key, called=lambda i: ids[i]
        )
    if done.failed:
        some = "; ".join(f"{ids[i]}: {reason}" for i, reason in list(done.failed.items())[:NAMED])
        more = "; …" if len(done.failed) > NAMED else ""
        say(f"{len(done.failed)} of {len(ids)} photos cannot be used ({some}{more})")
    kept = np.setdiff1d(np.arange(len(ids)), list(done.failed))
    if not len(kept):
        raise DataError(f"none of the {len(ids)} photos in {source.images} can be used")
    blocks = tuple(FeatureBlock(e.name, np.asarray(done.blocks[e.name])[kept]) for e in made)
    shown = frame.iloc[kept].reset_index(drop=True)
    return Described(shown, FeatureTable(IdMap.of(shown["item_id"]), blocks), np.asarray(done.blocks["phash"])[kept])


def train(
    source: Source,
    out: Path,
    *,
    label: str,
    encoders: Sequence[str],
    method: str = "probe",
    several: bool = False,
    rules: Path | None = None,
    holdout: float = 0.2,
    config: ProbeConfig | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Learn from the labelled items, judge on a held-out share of them, then learn from all; answers a row a class.

    Writes ``classifier.safetensors`` and, unless ``holdout`` is 0, ``evaluation.json``, ``.md`` and ``confusion.svg``.

    Args:
        source: Items and photos.
        out: Folder.
        label: Column of the labels; "" for the folders the photos are in, or for rules alone.
        encoders: Names of encoders; the first also finds near-duplicates.
        method: One of `METHODS`.
        several: Whether labels are lists with ``|`` between.
        rules: TOML of keyword rules that label the items without a label by their titles.
        holdout: Share of the labelled items, group by group, that is judged on.
        config: Of the linear probe.
        say: Is told what is left out.

    Raises:
        ConfigError: An unknown method.
        DataError: Labels that cannot be learned from; class or item is named.
    """
    if method not in METHODS:
        raise ConfigError(unknown_name("method", method, METHODS))
    config = config or ProbeConfig()
    frame = read_items(source)
    ids = IdMap.of(frame["item_id"])
    values = text_column(frame, label or ("folder" if source.table is None else "")) if label or not rules else None
    own = None if values is None else Labels.of(ids, values, several=several)
    labels = _with_rules(ids, frame, own, rules)
    least = 1 if method == "prototypes" else 2
    labels.require(least)  # before the photos: encoding takes long
    described = describe(source, frame, encoders, out / ".work", say)
    labels = labels.rows(ids.encode(described.table.ids.ids))
    labels.require(least)
    groups = described.groups(source.group or ("photo" if source.table is None else ""))
    judged: list[dict[str, Any]] = []
    if holdout:
        truth = labels if own is None else labels.only(own.rows(ids.encode(labels.ids.ids)).known)
        test = split_groups(truth, groups, holdout, seed=config.seed)
        fitted = METHODS[method](_rows(described.table, ~test), labels.rows(~test), groups[~test], config)
        held = test & truth.known
        judged = write_report(fitted, _rows(described.table, held), truth.rows(held), groups[held], out)
    METHODS[method](described.table, labels, groups, config).save(out)
    return judged


def evaluate(
    classifier: Path, source: Source, out: Path, *, label: str, say: Callable[[str], None] = lambda line: None
) -> list[dict[str, Any]]:
    """Judge a classifier on labelled items that it has not learned from; answers a row a class.

    Raises:
        DataError: A label that the classifier does not know; its item is named.
    """
    known = Classifier.load(classifier)
    frame = read_items(source)
    values = text_column(frame, label or ("folder" if source.table is None else ""))
    labels = Labels.of(frame["item_id"].tolist(), values, classes=known.classes, several=known.link == "sigmoid")
    labelled = frame[labels.known].reset_index(drop=True)
    described = describe(source, labelled, known.scaling.blocks, out / ".work", say)
    own = labels.rows(labels.ids.encode(described.table.ids.ids))
    groups = described.groups(source.group or ("photo" if source.table is None else ""))
    return write_report(known, described.table, own, groups, out)


def predict(
    classifier: Path,
    source: Source,
    out: Path,
    *,
    column: str = "style",
    threshold: float | None = None,
    top: int = 0,
    block: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """Name the style of every item; writes the items with the column, and answers how many are of each class.

    Args:
        classifier: Folder that `train` wrote.
        source: Items and photos.
        out: CSV or Parquet: the items' table with ``column`` and ``<column>_probability``; items without a usable
            photo have neither. With ``top`` also ``<column>_top``: classes and probabilities, the likeliest first.
        column: What it is called; also the name of the block.
        threshold: In place of the classifier's own.
        top: How many of the likeliest classes to write.
        block: Folder for a `FeatureBlock` of probabilities over the table's items (zeros without a photo).
        say: Is told what is left out.

    Raises:
        ConfigError: ``out`` ends in neither .csv nor .parquet.
        DataError: The table has such a column.
    """
    if out.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--out must end in .csv or .parquet, got {out.name}")
    known = Classifier.load(classifier)
    known = known if threshold is None else known.abstaining(threshold)
    frame = read_items(source)
    if column in frame:
        raise DataError(f"the items have a column {column!r} already; choose another --column")
    described = describe(source, frame, known.scaling.blocks, out.parent / f".{out.stem}.work", say)
    said = known.predict(described.table)
    _write(_joined(frame, said, column, top), out)
    if block is not None:
        _whole_block(frame, said, column).save(block)
    names = pd.Series(said.names).replace("", "(not sure)").value_counts()
    return [{"style": name, "items": int(n), "share": n / len(said.names)} for name, n in names.items()]


def text_column(frame: pd.DataFrame, name: str) -> list[str]:
    """A column as text.

    Raises:
        DataError: There is none of this name.
    """
    if name not in frame:
        raise DataError(unknown_name("column of the items", name, map(str, frame.columns)))
    return frame[name].astype(object).where(frame[name].notna(), "").astype(str).tolist()


def _with_rules(ids: IdMap, frame: pd.DataFrame, own: Labels | None, rules: Path | None) -> Labels:
    """The items' own labels, and for those without one what the rules make of the title."""
    if rules is None:
        assert own is not None
        return own
    weak = weak_labels(ids, frame["title"], read_rules(rules))
    if own is None:
        return weak
    if own.link != "softmax":
        raise ConfigError("keyword rules give one class an item; they do not go with several")
    classes = tuple(sorted({*own.classes, *weak.classes}))
    targets = np.zeros((len(ids), len(classes)), np.float32)
    for part, rows in ((weak, weak.known & ~own.known), (own, own.known)):
        at = [classes.index(name) for name in part.classes]
        targets[np.ix_(np.flatnonzero(rows), np.asarray(at))] = part.targets[rows]
    return Labels(ids, classes, targets, own.known | weak.known)


def _rows(table: FeatureTable, kept: Any) -> FeatureTable:
    at = np.flatnonzero(kept)
    return FeatureTable(IdMap.of(table.ids.decode(at)), tuple(block.rows(at) for block in table.blocks))


def _joined(frame: pd.DataFrame, said: Predictions, column: str, top: int) -> pd.DataFrame:
    found = said.to_frame(column)
    if top:
        likeliest = said.top(top)
        texts = likeliest["class"] + " " + likeliest["probability"].map("{:.3f}".format)
        found[f"{column}_top"] = texts.groupby(likeliest["item_id"], sort=False).agg("; ".join).to_numpy()
    made = frame.merge(found, on="item_id", how="left", validate="one_to_one")
    return made.assign(**{column: made[column].fillna("")})


def _whole_block(frame: pd.DataFrame, said: Predictions, column: str) -> FeatureBlock:
    block = said.block(column)
    values = np.zeros((len(frame), len(said.classes)), np.float32)
    values[IdMap.of(frame["item_id"]).encode(said.ids.ids)] = said.probabilities
    return FeatureBlock(column, values, block.columns, block.provenance)


def _write(frame: pd.DataFrame, out: Path) -> None:
    if out.suffix == ".parquet":
        save_frame(frame, out)
        return
    with atomic_write(out, "w") as file:
        frame.to_csv(file, index=False)
