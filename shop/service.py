"""The running service: the published run, the event log, the counts, and the thread that answers."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from recsys.errors import StylerecError
from shop.answers import Writer
from shop.batching import Batcher, BusyError
from shop.compaction import read_events
from shop.event_log import EventLog
from shop.events import EXPOSURE, Event, Record, now
from shop.listing import Wish, listed
from shop.measures import Measures
from shop.pictures import Pictures
from shop.plan import shop_plan
from shop.policy import Choice
from shop.settings import ShopConfig
from shop.showing import Shown, Showroom
from shop.snapshot import Snapshot, open_snapshot, version_of
from shop.tally import Tally

Log = logging.getLogger("stylerec.shop")
Opener = Callable[[Path, str], Snapshot]


@dataclass(frozen=True, eq=False)
class Published:
    """A snapshot and what goes with it: a request holds on to one, whatever is published meanwhile."""

    snapshot: Snapshot
    room: Showroom
    writer: Writer
    pictures: Pictures


@dataclass(frozen=True, eq=False)
class Asked:
    """A wish, and the run it is answered from."""

    published: Published
    wish: Wish


class Service:
    """Everything that outlives a request."""

    def __init__(self, config: ShopConfig, *, opener: Opener = open_snapshot) -> None:
        """Load the run and what was logged so far.

        Raises:
            ArtifactError: There is no finished run, or no such model.
            ConfigError: Another service writes into the folder of events.
        """
        self.config, self._opener = config, opener
        self.measures = Measures()
        self.tally = Tally(config.experiment, shop_plan(config.allocation))
        self.published = self._publish(opener(config.run, config.model))
        self.log = EventLog(config.events_folder)
        self._exposed: set[str] = set()
        self._replay()
        self.batcher: Batcher[Asked, Shown] = Batcher(self._answer, most_waiting=config.most_waiting)
        self.measures.watch(self)
        self.reload_error = ""
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="reload", daemon=True)
        self._watcher.start()

    def close(self) -> None:
        """Answer what waits, write what waits, and let go of the event log."""
        self._stopping.set()
        self._watcher.join()
        self.batcher.close()
        self.log.close()

    async def show(self, published: Published, wish: Wish) -> Shown:
        """A list, each product in its look; the customer's exposure to the test is logged.

        Raises:
            BusyError: Too many wait.
        """
        try:
            shown = await self.batcher.ask(Asked(published, wish))
        except BusyError:
            self.measures.shed.inc()
            raise
        if shown.arm is not None and not wish.look and shown.user_id not in self._exposed:
            self._expose(shown.user_id, shown.arm)
        return shown

    async def store(self, events: Sequence[Event]) -> None:
        """Put events on disk, then count them; returns when an fsync has followed them.

        Raises:
            LogFullError: They could not be written; nobody must think they are.
        """
        moment, room, experiment = now(), self.published.room, self.config.experiment or None
        arms = {user: room.arm(user) for user in {event.user_id for event in events}}
        records = [
            Record.model_construct(**dict(event), arm=arms[event.user_id], experiment=experiment, timestamp=moment)
            for event in events
        ]
        await asyncio.wrap_future(self.log.append([record.to_bytes() for record in records]))
        self._count(records)

    def new_page(self) -> str:
        """A name for one list that was shown, by which events find it."""
        return uuid.uuid4().hex[:16]

    def reload(self) -> bool:
        """Publish the run anew if it has changed; whether it has.

        Requests in work go on with what they began with.
        """
        if version_of(self.config.run) == self.published.snapshot.version:
            return False
        self.published = self._publish(self._opener(self.config.run, self.config.model))
        self.measures.reloads.inc()
        return True

    def _publish(self, snapshot: Snapshot) -> Published:
        room = Showroom(snapshot, self.tally, Choice(self.config.policy, snapshot.looks), self.config)
        # What is computed at first use is computed before anybody waits for it.
        _ = snapshot.search.items, snapshot.search.order, snapshot.points, snapshot.denied, snapshot.has_history
        snapshot.place("")
        return Published(snapshot, room, Writer(snapshot), Pictures(snapshot))

    def _answer(self, asked: Sequence[Asked]) -> list[Shown | Exception]:
        """In the batcher's thread; requests of one run are answered together."""
        found: dict[int, Shown | Exception] = {}
        for published in dict.fromkeys(a.published for a in asked):
            rows = [i for i, a in enumerate(asked) if a.published is published]
            wishes = [asked[i].wish for i in rows]
            for i, wish, (items, scores) in zip(rows, wishes, listed(published.snapshot, wishes), strict=True):
                try:
                    found[i] = published.room.show(wish.user_id, items, scores, look=wish.look, history=wish.history)
                except StylerecError as error:
                    found[i] = error
        return [found[i] for i in range(len(asked))]

    def _expose(self, user_id: str, arm: str) -> None:
        """Note that a customer met the test; nobody waits for the disk, and what a crash loses is noted next time."""
        record = Record(event=EXPOSURE, user_id=user_id, arm=arm, experiment=self.config.experiment, timestamp=now())
        self.log.append([record.to_bytes()]).add_done_callback(_told)
        self._exposed.add(user_id)
        self._count([record])

    def _count(self, records: Sequence[Record]) -> None:
        segment = self.published.snapshot.segment
        self.tally.add(records, [segment(record.user_id) for record in records])
        for record in records:
            self.measures.events.labels(record.event).inc()

    def _replay(self) -> None:
        """Count what was logged before."""
        frame, _, _ = read_events(self.config.events_folder)
        plain = frame.astype(object).where(frame.notna(), None)
        plain["timestamp"] = frame["timestamp"].astype(str)
        records = [Record.model_construct(**{str(k): v for k, v in row.items()}) for row in plain.to_dict("records")]
        self.tally.add(records, _segments(self.published.snapshot, frame["user_id"]))
        current = frame["experiment"] == self.config.experiment
        self._exposed = set(frame.loc[current & (frame["event"] == EXPOSURE), "user_id"])

    def _watch(self) -> None:
        while not self._stopping.wait(self.config.reload_seconds):
            try:
                if self.reload():
                    Log.info("now serving %s", self.published.snapshot.version)
                self.reload_error = ""
            except (StylerecError, OSError) as error:  # the old run goes on being served, and /readyz says why
                self.measures.reload_failures.inc()
                self.reload_error = f"{type(error).__name__}: {error}"
                Log.warning("the newly published run cannot be served yet: %s", error)


def _segments(snapshot: Snapshot, users: pd.Series) -> list[str]:
    by_user = {user: snapshot.segment(user) for user in users.unique()}
    return [by_user[user] for user in users]


def _told(done: object) -> None:
    """An exposure that could not be written is logged again when the customer comes next after a restart."""
    error = done.exception()  # type: ignore[attr-defined]
    if error is not None:
        Log.warning("an exposure was not written: %s", error)
