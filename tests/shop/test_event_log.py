"""The event log: what was acknowledged is there, what is torn is told, whatever kills the writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ConfigError
from shop.event_log import EventLog, LogFullError, line_of, live_segment, payload_of, read_segment, segments

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys, threading
from pathlib import Path
from shop.event_log import EventLog
log = EventLog(Path(sys.argv[1]), segment_bytes=20_000)
lock = threading.Lock()
def work(name):
    for n in range(10**9):
        log.append([f"{name}-{n}".encode() + b"." * (n % 97)]).result()
        with lock:
            sys.stdout.write(f"{name}-{n}\\n")
            sys.stdout.flush()
for name in "abcd":
    threading.Thread(target=work, args=(f"{sys.argv[2]}{name}",), daemon=True).start()
threading.Event().wait()
"""


class TestLines:
    @given(st.binary().filter(lambda b: b"\n" not in b))
    def test_a_line_gives_its_payload_back(self, payload: bytes) -> None:
        assert payload_of(line_of(payload)) == payload

    @given(st.binary(min_size=1, max_size=40).filter(lambda b: b"\n" not in b), st.data())
    def test_any_torn_or_flipped_line_is_told(self, payload: bytes, data: st.DataObject) -> None:
        line = line_of(payload)
        assert payload_of(line[: data.draw(st.integers(0, len(line) - 1))]) is None
        at = data.draw(st.integers(0, len(line) - 1))
        flipped = line[:at] + bytes([line[at] ^ (1 << data.draw(st.integers(0, 7)))]) + line[at + 1 :]
        assert payload_of(flipped) is None  # CRC-32 finds every error of one bit

    def test_a_record_is_one_line(self) -> None:
        with pytest.raises(ConfigError, match="one line"):
            line_of(b"a\nb")


class TestLog:
    def test_many_waiting_share_an_fsync(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: (time.sleep(0.02), real(handle))[1])
        with EventLog(tmp_path) as log:
            done = [log.append([f"{n}".encode()]) for n in range(200)]
            for one in done:
                one.result(10)
            assert log.fsyncs < 20
        assert [int(r) for p in segments(tmp_path) for r in read_segment(p).records] == list(range(200))

    def test_acknowledged_only_after_the_fsync(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, real = threading.Event(), os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: (gate.wait(10), real(handle))[1])
        with EventLog(tmp_path) as log:
            done = log.append([b"a"])
            time.sleep(0.05)
            assert not done.done()
            gate.set()
            done.result(10)

    def test_a_full_disk_acknowledges_nothing_and_is_survived(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with EventLog(tmp_path) as log:
            log.append([b"before"]).result(10)
            real, calls = os.write, []

            def half(handle: int, data: memoryview) -> int:
                calls.append(real(handle, data[: len(data) // 2]))
                if len(calls) > 1:
                    raise OSError(28, "No space left on device")
                return calls[-1]

            monkeypatch.setattr(os, "write", half)
            with pytest.raises(LogFullError, match="No space left"):
                log.append([b"lost" * 10]).result(10)
            monkeypatch.setattr(os, "write", real)
            log.append([b"after"]).result(10)
        found = [read_segment(p) for p in segments(tmp_path)]
        assert [r for f in found for r in f.records] == [b"before", b"after"]
        assert sum(f.torn for f in found) == 1

    def test_what_does_not_fit_in_the_queue_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, real = threading.Event(), os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: (gate.wait(10), real(handle))[1])
        with EventLog(tmp_path, most_waiting=100) as log:
            log.append([b"first"])
            time.sleep(0.05)
            log.append([b"x" * 60])
            with pytest.raises(LogFullError, match="does not keep up"):
                log.append([b"x" * 60])
            gate.set()

    def test_segments_follow_each_other_and_restarts_begin_anew(self, tmp_path: Path) -> None:
        for start in (0, 50):
            with EventLog(tmp_path, segment_bytes=200) as log:
                for n in range(start, start + 50):
                    log.append([f"{n}".encode()]).result(10)
        assert [int(r) for p in segments(tmp_path) for r in read_segment(p).records] == list(range(100))
        assert len(segments(tmp_path)) > 4

    def test_one_writer_a_folder(self, tmp_path: Path) -> None:
        with EventLog(tmp_path) as log:
            log.append([b"a"]).result(10)
            with pytest.raises(ConfigError, match="another process writes"):
                EventLog(tmp_path)
            assert live_segment(tmp_path) == segments(tmp_path)[-1]
        assert live_segment(tmp_path) is None

    def test_kill_9_loses_nothing_acknowledged(self, tmp_path: Path) -> None:
        acknowledged: set[str] = set()
        for round_number in range(3):
            command = [sys.executable, "-c", WRITER, str(tmp_path), str(round_number)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            for _ in range(150 + 50 * round_number):
                acknowledged.add(process.stdout.readline().strip())
            process.send_signal(signal.SIGKILL)
            acknowledged |= {
                line.strip() for line in process.stdout.read().splitlines(keepends=True) if line[-1] == "\n"
            }
            process.wait(10)
            process.stdout.close()
        stored = [r.rstrip(b".").decode() for p in segments(tmp_path) for r in read_segment(p).records]
        assert len(acknowledged) > 500
        assert acknowledged <= set(stored)
        assert len(stored) == len(set(stored))
