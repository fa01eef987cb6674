"""The pages of docs/ as blocks that can be run.

A block whose last line of text before it ends in `` `name.ext`: `` is a file of that name. Blocks of a page run in
order in one folder and share their Python names. A ``text`` block is what the block before it prints: numbers may
differ, ``…`` stands for anything.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from study.config import parse_study
from style.images import encode_jpeg

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
MINIMAL = '[catalog]\npath = "items.csv"\n[interactions]\npath = "sales.csv"\n'
NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)*(?:e[+-]\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the file it is (or ""), and its line in the page."""

    kind: str
    text: str
    file: str
    line: int


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page in order."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S):
        before = text[: found.start()]
        named = re.search(r"`([\w-]+\.\w+)`:\s*$", before)
        yield Block(found[1], found[2], named[1] if named else "", before.count("\n") + 1)


def run_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every block of a page in ``folder``, which holds a finished ``demo``."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": page.stem}
    printed = ""
    for block in blocks(page.read_text()):
        where = f"{page.name}:{block.line}"
        if block.file:
            (folder / block.file).write_text(block.text)
        elif block.kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.text, where, "exec"), names)
            printed = out.getvalue()
        elif block.kind == "sh":
            printed = "".join(_command(line, where, folder, monkeypatch) for line in block.text.splitlines())
        elif block.kind == "toml":
            _check_excerpt(block.text, folder, monkeypatch)
        elif block.kind == "text":
            _compare(block.text, printed, where)
        else:
            raise AssertionError(f"{where}: a block of kind {block.kind!r} that nothing checks")


def _command(line: str, where: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if line.startswith("pip install --editable"):
        _install(folder, monkeypatch)
    if line.startswith("pip "):
        return ""
    if not line.startswith("stylerec "):
        subprocess.run(line, shell=True, check=True, cwd=folder)
        return ""
    words = shlex.split(line, comments=True)[1:]
    target = words[words.index(">") + 1] if ">" in words else None
    result = CliRunner().invoke(main, words[: words.index(">")] if target else words, catch_exceptions=False)
    assert result.exit_code == 0, f"{where}: {line}\n{result.output}"
    if target:
        (folder / target).write_text(result.stdout)
    return result.output


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip does for a package of one module: it can be imported, and its entry points are known."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    sys.modules.pop(project["name"], None)
    monkeypatch.syspath_prepend(folder)


def _check_excerpt(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a study file: every key and value must be understood; style pictures may be any."""
    table = tomllib.loads(text)
    for look in table.get("looks", {}).values():
        if "image" in look:
            path = folder / look["image"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_jpeg(np.full((8, 8, 3), 90, np.uint8)))
    for variable in re.findall(r"\$(\w+)", text):
        monkeypatch.setenv(variable, str(folder))
    parse_study(text if "catalog" in table else MINIMAL + text).make_looks(folder)


def _compare(expected: str, printed: str, where: str) -> None:
    found = [_plain(line) for line in printed.splitlines()]
    for line in expected.splitlines():
        pattern = ".*".join(re.escape(part) for part in _plain(line).split("…"))
        assert any(re.fullmatch(pattern, other) for other in found), (
            f"{where} promises the line\n{line}\nbut what is printed is\n{printed[:3000]}"
        )


def _plain(line: str) -> str:
    return " ".join(NUMBER.sub("#", line).split())
