"""What each block knows alone: a linear probe of H&M photos for pattern, department and colour.

    python benchmarks/style_probe.py [--photos 330] [--cache FOLDER]

Photos: at most 330 of each of the nine commonest patterns. Targets: `graphical_appearance_name` (pattern),
`index_group_name` (department: the garment and for whom it is) and `perceived_colour_master_name` (dominant colour),
classes with at least 1.5 % of the photos. Multinomial logistic regression on standardised rows, raw or whitened as the
encoder advises; accuracy is measured on products that it has not seen (an article's first seven figures; 3 folds), by
the better of the two with the best of four penalties, which favours every block alike. Intervals: bootstrap over
products, 95 %. Goal: the blocks divide the labour – a block of texture is best on pattern, one of colour on colour, a
semantic one on department.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from recsys.files import write_json
from style.encoders.make import make_encoder
from style.features import Rows, embed
from style.imagestore import ImageStore
from style.whitening import Whitening

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
TARGETS = {
    "pattern": "graphical_appearance_name",
    "department": "index_group_name",
    "colour": "perceived_colour_master_name",
}
BLOCKS = {
    "efficientnet-lite0": "semantic",
    "channel-statistics": "texture",
    "gram": "texture",
    "texture": "texture",
    "magenta-style": "texture",
    "palette": "colour",
    "colour-histogram": "colour",
}
EXPECTED = {"pattern": "texture", "department": "semantic", "colour": "colour"}
PENALTIES = (0.003, 0.01, 0.03, 0.3)
FOLDS = 3
LEAST = 0.015


def chosen(most: int) -> pd.DataFrame:
    """At most so many articles of each of the nine commonest patterns, in random order."""
    items = pd.read_csv(DATA / "hm_fashion" / "items.csv.gz", dtype=str)
    with ImageStore.open(DATA / "hm_fashion" / "images_h176.zip") as store:
        items = items[[f"{i}.jpg" in store for i in items["article_id"]]]
    column = TARGETS["pattern"]
    common = items[column].value_counts().index[:9]
    groups = items[items[column].isin(common)].groupby(column)
    parts = [group.sample(min(len(group), most), random_state=0) for _, group in groups]
    return pd.concat(parts).sample(frac=1, random_state=0).fillna("")


def predicted(rows: Rows, labels: npt.NDArray[Any], groups: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each row's label is told from products that the probe has not seen, by the best penalty."""
    hits = {penalty: np.zeros(len(rows), bool) for penalty in PENALTIES}
    for train, test in GroupKFold(FOLDS).split(rows, labels, groups):
        scaler = StandardScaler().fit(rows[train])
        known, new = scaler.transform(rows[train]), scaler.transform(rows[test])
        for penalty, hit in hits.items():
            probe = LogisticRegression(C=penalty, max_iter=200, tol=1e-3).fit(known, labels[train])
            hit[test] = probe.predict(new) == labels[test]
    return max(hits.values(), key=lambda hit: hit.mean())


def interval(hits: npt.NDArray[np.bool_], groups: npt.NDArray[Any]) -> list[float]:
    """95 % by resampling products."""
    _, code = np.unique(groups, return_inverse=True)
    right, total = np.bincount(code, hits), np.bincount(code)
    pick = np.random.default_rng(0).integers(0, len(total), (1000, len(total)))
    return np.quantile(right[pick].sum(axis=1) / total[pick].sum(axis=1), [0.025, 0.975]).tolist()


def run(options: argparse.Namespace, cache: Path) -> dict[str, dict[str, Any]]:
    items = chosen(options.photos)
    ids = items["article_id"].tolist()
    groups = items["article_id"].str.zfill(10).str[:7].to_numpy()
    encoders = [make_encoder(name) for name in BLOCKS]
    with ImageStore.open(DATA / "hm_fashion" / "images_h176.zip") as store:
        blocks = embed(
            lambda i: store.read(f"{ids[i]}.jpg"), len(ids), encoders, cache / "probe", key=str(len(ids))
        ).blocks
    found: dict[str, dict[str, Any]] = {}
    for encoder in encoders:
        rows = np.asarray(blocks[encoder.name])
        versions = [rows, Whitening.fit(rows, encoder.whiten).apply(rows)] if encoder.whiten else [rows]
        found[encoder.name] = {"dims": rows.shape[1], "kind": BLOCKS[encoder.name]}
        for target, column in TARGETS.items():
            labels = items[column].to_numpy()
            names, counts = np.unique(labels[labels != ""], return_counts=True)
            common = counts >= LEAST * len(labels)
            kept = np.isin(labels, names[common])
            hits = max((predicted(x[kept], labels[kept], groups[kept]) for x in versions), key=np.mean)
            found[encoder.name][target] = {
                "accuracy": float(hits.mean()),
                "interval": interval(hits, groups[kept]),
                "classes": int(common.sum()),
                "commonest": float(counts.max() / kept.sum()),
                "photos": int(kept.sum()),
            }
        print(encoder.name, {t: round(found[encoder.name][t]["accuracy"], 3) for t in TARGETS}, flush=True)
    return found


def show(found: Mapping[str, Mapping[str, Any]]) -> None:
    print(f"\n{'block':<22}{'kind':<10}{'dims':>6}" + "".join(f"{t:>26}" for t in TARGETS))
    for name, row in found.items():
        cells = "".join(
            f"{row[t]['accuracy']:>11.3f} [{row[t]['interval'][0]:.3f}, {row[t]['interval'][1]:.3f}]" for t in TARGETS
        )
        print(f"{name:<22}{row['kind']:<10}{row['dims']:>6}{cells}")
    print(
        f"{'commonest class':<38}"
        + "".join(f"{next(iter(found.values()))[t]['commonest']:>11.3f}{'':>15}" for t in TARGETS)
    )
    for target, kind in EXPECTED.items():
        best = max(found, key=lambda name: found[name][target]["accuracy"])
        print(f"{target}: best is {best} ({found[best]['kind']}), expected {kind}: ", end="")
        print("reached" if found[best]["kind"] == kind else "MISSED")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=330, help="of each pattern")
    parser.add_argument("--cache", type=Path, help="keep rows here, to go on later")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(options, options.cache or Path(folder))
    show(found)
    write_json(
        HERE / "results" / "style_probe.json", {"of_each_pattern": options.photos, "folds": FOLDS, "blocks": found}
    )


if __name__ == "__main__":
    main()
