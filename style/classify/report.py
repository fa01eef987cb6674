"""An evaluation on disk: JSON for programs, Markdown and a picture for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.data.features import FeatureTable
from recsys.errors import DataError
from recsys.files import atomic_write, write_json
from style.classify.calibration import calibration_error, probabilities
from style.classify.classifier import Classifier
from style.classify.labels import Codes, Labels
from style.classify.logistic import Values
from style.classify.measure import Score, score
from style.classify.picture import write_confusion


def write_report(
    classifier: Classifier, table: FeatureTable, labels: Labels, groups: Codes, out: Path
) -> list[dict[str, Any]]:
    """Judge on labelled items that were not learned from; writes ``evaluation.json``, ``.md`` and ``confusion.svg``.

    Returns:
        One row a class. With several classes an item there is no confusion to draw: rows tell how each class fares.

    Raises:
        DataError: No labelled item.
    """
    if not labels.known.all() or not len(labels):
        raise DataError(f"an evaluation needs labelled items, got {int(labels.known.sum())} of {len(labels)}")
    about = {"classifier": classifier.mark, "about": dict(classifier.about), "photos": len(labels)}
    if classifier.link == "sigmoid":
        rows = several(classifier.classes, labels, classifier.predict(table).probabilities, classifier.thresholds)
        write_json(out / "evaluation.json", about | {"classes": rows.to_dict(orient="records")})
        _write(out / "evaluation.md", f"# How good the classifier is\n\n{_table(rows)}")
        return _plain(rows)
    said, order = classifier.predict(table), [labels.classes.index(name) for name in classifier.classes]
    truth = labels.targets[:, order].argmax(axis=1)
    found = score(
        classifier.classes, truth, said.probabilities, threshold=float(classifier.thresholds[0]), groups=groups
    )
    raw = probabilities(classifier.logits(table), classifier.link)
    before = calibration_error(raw.max(axis=1), raw.argmax(axis=1) == truth)
    write_json(out / "evaluation.json", about | found.to_json() | {"calibration_error_before": before})
    write_confusion(found, out / "confusion.svg")
    _write(out / "evaluation.md", _page(found, before, classifier))
    return _plain(found.table)


def several(classes: tuple[str, ...], labels: Labels, chances: Values, thresholds: Values) -> pd.DataFrame:
    """Each class as a question of its own: photos, threshold, precision, recall, f1; NaN for 0 / 0."""
    order = [labels.classes.index(name) for name in classes]
    truth, named = labels.targets[:, order] > 0, chances >= thresholds
    hits = (truth & named).sum(axis=0)
    with np.errstate(invalid="ignore"):
        parts = {
            "precision": hits / named.sum(axis=0),
            "recall": hits / truth.sum(axis=0),
            "f1": 2 * hits / (named.sum(axis=0) + truth.sum(axis=0)),
        }
    return pd.DataFrame({"class": classes, "photos": truth.sum(axis=0), "threshold": thresholds} | parts)


def _page(found: Score, before: float, classifier: Classifier) -> str:
    low, high = found.interval
    rare = found.table.iloc[int(found.table["photos"].argmin())]
    lines = [
        "# How good the classifier is",
        "",
        f"Macro-F1 **{found.macro_f1:.3f}** (95 % interval {low:.3f} to {high:.3f}, over groups of like photos), "
        f"accuracy {found.accuracy:.3f} on {found.counts.sum():,} photos that it has not seen.",
        "",
        f"Calibration error {before:.3f} before and {found.calibration_error:.3f} after calibration "
        f"(temperature {classifier.calibration.temperature:.2f}).",
        "",
        f"The rarest class is {rare['class']}: {rare['photos']:,} photos, {rare['share']:.1%}.",
        "",
    ]
    if classifier.thresholds[0] > 0:
        right = f"; {found.covered_accuracy:.1%} of those rightly" if found.covered else ""
        lines += [f"From probability {classifier.thresholds[0]:g} on, {found.covered:.1%} are named{right}.", ""]
    return "\n".join([*lines, _table(found.table), "", "![Confusion matrix](confusion.svg)", ""])


def _table(frame: pd.DataFrame) -> str:
    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value).replace("|", "\\|").replace("\n", " ")

    rows = [
        map(cell, frame.columns),
        ["---"] * len(frame.columns),
        *(map(cell, r) for r in frame.itertuples(index=False)),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict(orient="records")]


def _write(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)
