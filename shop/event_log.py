r"""A log that loses nothing it acknowledged: checksummed lines in segments, many requests to one fsync.

A record is one line, ``<CRC-32, 8 hex digits> <bytes, decimal> <payload>\n``. It is acknowledged after the fsync that
follows it, so whatever a crash tears off was never acknowledged; the checksum and the length tell a torn line.
A process writes into segments of its own: what a dead one left behind is never written to again.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from zlib import crc32

from recsys.errors import ConfigError, StylerecError

SUFFIX = ".events"
SEGMENT_BYTES = 64 * 2**20
"""A segment that has grown beyond this is followed by a new one."""
MOST_WAITING = 64 * 2**20
"""Bytes that may wait for the disk; more are refused, not kept."""


class LogFullError(StylerecError, OSError):
    """The disk does not keep up with the events, or does not take them."""


@dataclass(frozen=True)
class Segment:
    """What one segment holds.

    Attributes:
        records: Payloads, in order of writing.
        torn: Lines that are not whole: of a write that a crash cut off, or damaged since.
    """

    records: tuple[bytes, ...]
    torn: int


def line_of(payload: bytes) -> bytes:
    r"""A record as it is written.

    Raises:
        ConfigError: The payload has a line break.

    Example:
        >>> line_of(b'{"a": 1}')
        b'fba18e97 8 {"a": 1}\n'
    """
    if b"\n" in payload:
        raise ConfigError("a record must be one line; write it as compact JSON")
    return b"%08x %d %s\n" % (crc32(payload), len(payload), payload)


def payload_of(line: bytes) -> bytes | None:
    r"""The inverse of `line_of`; None where the line is torn.

    Example:
        >>> payload_of(line_of(b"whole")), payload_of(line_of(b"whole")[:-3])
        (b'whole', None)
    """
    parts = line.split(b" ", 2)
    if len(parts) != 3 or not parts[2].endswith(b"\n"):
        return None
    payload = parts[2][:-1]
    return payload if (parts[0], parts[1]) == (b"%08x" % crc32(payload), b"%d" % len(payload)) else None


def read_segment(path: Path, *, live: bool = False) -> Segment:
    """The whole records of a segment; of a ``live`` one the line that is being written is left for the next time."""
    lines = path.read_bytes().split(b"\n")
    unfinished = lines.pop()
    found = [payload_of(line + b"\n") for line in lines]
    found += [None] if unfinished and not live else []
    whole = tuple(p for p in found if p is not None)
    return Segment(whole, len(found) - len(whole))


def segments(folder: Path) -> list[Path]:
    """The segments of a log, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def live_segment(folder: Path) -> Path | None:
    """The segment that a running writer writes into; None where no writer runs."""
    lock = folder / ".lock"
    if not lock.exists():
        return None
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return max(segments(folder), default=None)
    return None


class EventLog:
    """The writer: one a folder at a time.

    Example:
        >>> from tempfile import mkdtemp
        >>> folder = Path(mkdtemp())
        >>> with EventLog(folder) as log:
        ...     log.append([b"a", b"b"]).result()
        >>> read_segment(segments(folder)[0])
        Segment(records=(b'a', b'b'), torn=0)
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, most_waiting: int = MOST_WAITING) -> None:
        """Open a log for writing.

        Args:
            folder: Made where it is missing.
            segment_bytes: A segment that has grown beyond this is followed by a new one.
            most_waiting: Bytes that may wait for the disk.

        Raises:
            ConfigError: Another process writes into the folder.
        """
        self.folder, self._segment_bytes, self._most_waiting = folder, segment_bytes, most_waiting
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        self._file = -1
        self._written = 0
        self._ready = threading.Condition()
        self._waiting: list[tuple[bytes, Future[None]]] = []
        self._size = 0
        self._closed = False
        self.fsyncs = 0
        self._thread = threading.Thread(target=self._work, name="event-log", daemon=True)
        self._thread.start()

    def append(self, payloads: Iterable[bytes]) -> Future[None]:
        """Hand records over; the future is done when they are on disk, and fails where they cannot be had there.

        Raises:
            LogFullError: Too much waits for the disk.
        """
        data, done = b"".join(map(line_of, payloads)), Future[None]()
        with self._ready:
            if self._closed:
                raise LogFullError("the event log is closed; send the events again")
            if self._size + len(data) > self._most_waiting:
                raise LogFullError("the disk does not keep up with the events; send them again later")
            self._waiting.append((data, done))
            self._size += len(data)
            self._ready.notify()
        return done

    def close(self) -> None:
        """Write what waits, and let another process write here."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()
        self._leave_segment()
        self._lock.close()

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting, []
                self._size = 0
            self._commit(batch)

    def _commit(self, batch: Sequence[tuple[bytes, Future[None]]]) -> None:
        """One write and one fsync for all who wait."""
        try:
            self._write(b"".join(data for data, _ in batch))
        except OSError as error:
            # What is on disk is not known; nothing may follow it in this segment, and nobody was told it is there.
            self._leave_segment()
            refusal = LogFullError(f"the events cannot be written ({error.strerror or error}); send them again later")
            for _, done in batch:
                done.set_exception(refusal)
            return
        for _, done in batch:
            with suppress(Exception):  # nobody waits any longer: the request was cancelled
                done.set_result(None)

    def _write(self, data: bytes) -> None:
        if self._file < 0 or self._written > self._segment_bytes:
            self._next_segment()
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)
        self.fsyncs += 1
        self._written += len(data)

    def _next_segment(self) -> None:
        self._leave_segment()
        path = self.folder / f"{_last_number(self.folder) + 1:08d}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        self._written = 0
        _sync_folder(self.folder)

    def _leave_segment(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _last_number(folder: Path) -> int:
    """Of segments, and of those that were compacted."""
    names = (p.name.split(".")[0] for p in folder.iterdir())
    return max((int(name) for name in names if name.isdigit()), default=0)


def _locked(folder: Path) -> BufferedWriter:
    file = (folder / ".lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ConfigError(f"another process writes events into {folder}; choose another folder for them") from None
    return file


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
