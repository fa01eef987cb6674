import io
import sys

import pytest

from recsys import progress as module
from recsys.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_a_line_every_half_minute(capsys: pytest.CaptureFixture[str], clock) -> None:
    with progress("encode", total=8) as advance:
        for seconds in (1, 29, 10, 20, 1):  # now and at 30 s, 40 s, 60 s, 61 s
            clock[0] += seconds
            advance(note=f"loss {seconds}")
    captured = capsys.readouterr()
    assert captured.out == ""
    # 2 of 8 in 30 s leave 6 x 15 s; 4 of 8 in 60 s leave 4 x 15 s
    assert captured.err == "encode: 2/8, 90 s left loss 29\nencode: 4/8, 60 s left loss 20\n"


def test_more_steps_than_announced_never_leave_less_than_nothing(capsys: pytest.CaptureFixture[str], clock) -> None:
    with progress("encode", total=1) as advance:
        clock[0] += 31
        advance(5)
    assert capsys.readouterr().err == "encode: 5/1, 0 s left\n"


def test_on_a_terminal_a_bar_with_count_and_note(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    with progress("encode", total=4) as advance:
        advance(3)
        advance(note="loss 0.1")
    shown = terminal.getvalue()
    assert "encode" in shown
    assert "4/4" in shown
    assert "loss 0.1" in shown


def test_errors_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stderr", stream)
        with pytest.raises(KeyError), progress("encode", total=4):
            raise KeyError("x")
