"""A load generator for `serve.py`: HTTP/1.1 over kept connections, in a process of its own; prints JSON.

    python benchmarks/serve_client.py PORT rate RATE SECONDS USERS
    python benchmarks/serve_client.py PORT events CONNECTIONS SECONDS BATCH

``rate`` is an open loop: requests start at their time whether or not earlier ones are answered, and latency counts from
that time, so that a server that stalls is not spared the requests it held up. ``events`` is a closed loop: each
connection posts its next batch when the last was acknowledged; ids of acknowledged events go to standard error.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter, deque

import uvloop

MOST_CONNECTIONS = 400


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.buffer, self.need, self.status = b"", -1, 0
        self.answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[int]:
        """The status of the answer; 0 where the connection was lost."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        return self.answer

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self.buffer += data
        if self.need < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            self.status = int(head[9:12])
            at = head.find(b"content-length:")
            self.need = end + 4 + int(head[at + 15 : head.find(b"\r", at) if head.find(b"\r", at) > 0 else None])
        if len(self.buffer) >= self.need:
            self.buffer, self.need = self.buffer[self.need :], -1
            answer, self.answer = self.answer, None
            if answer is not None and not answer.done():
                answer.set_result(self.status)

    def connection_lost(self, error: Exception | None) -> None:
        """Of asyncio."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(0)


async def connect(port: int) -> Connection:
    _, made = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return made


async def at_rate(port: int, rate: float, seconds: float, users: int) -> dict[str, object]:
    head = " HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
    free: deque[Connection] = deque([await connect(port) for _ in range(64)])
    total, told, took = 64, Counter[int](), []
    tasks: set[asyncio.Task[None]] = set()
    draw = random.Random(0)

    async def one(due: float) -> None:
        nonlocal total
        if free:
            connection = free.popleft()
        elif total < MOST_CONNECTIONS:
            total += 1
            connection = await connect(port)
        else:
            told[-1] += 1  # the client itself is full
            return
        request = f"GET /v1/recommendations?user=u{draw.randrange(users)}&k=20{head}".encode()
        status = await connection.ask(request)
        told[status] += 1
        if status == 200:
            took.append(time.perf_counter() - due)
        if status:
            free.append(connection)

    began = time.perf_counter()
    for n in range(int(rate * seconds)):
        due = began + n / rate
        if (wait := due - time.perf_counter()) > 0.0005:
            await asyncio.sleep(wait)
        task = asyncio.create_task(one(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    spent = time.perf_counter() - began
    took.sort()
    spots = {f"p{q}_ms": round(1000 * took[min(len(took) - 1, int(q / 100 * len(took)))], 2) for q in (50, 95, 99)}
    statuses = {str(status): count for status, count in sorted(told.items())}
    return {
        "offered": rate,
        "answered_per_s": round(told[200] / spent, 1),
        **(spots if took else {}),
        "status": statuses,
    }


async def events(port: int, connections: int, seconds: float, batch: int) -> dict[str, object]:
    stop, stored, failed = time.perf_counter() + seconds, 0, 0
    began = time.perf_counter()

    async def loop(number: int) -> None:
        nonlocal stored, failed
        connection, n = await connect(port), 0
        while time.perf_counter() < stop:
            ids = [f"{began}-{number}-{n}-{i}" for i in range(batch)]
            rows = [
                {
                    "event": "impression",
                    "user_id": f"u{number}",
                    "item_id": "i1",
                    "presentation": "retro",
                    "event_id": i,
                }
                | {"position": 3, "propensity": 0.5, "page_id": f"p{n}"}
                for i in ids
            ]
            body = json.dumps({"events": rows}).encode()
            head = f"POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n"
            head += "content-type: application/json\r\n\r\n"
            status = await connection.ask(head.encode() + body)
            if status == 201:
                stored += batch
                sys.stderr.write("\n".join(ids) + "\n")
            else:
                failed += batch
            if status == 0:
                return
            n += 1

    await asyncio.gather(*(loop(number) for number in range(connections)), return_exceptions=True)
    spent = time.perf_counter() - began
    return {"acknowledged": stored, "acknowledged_per_s": round(stored / spent, 1), "not_acknowledged": failed}


def main() -> None:
    port, kind, *numbers = sys.argv[1:]
    first, second, third = (float(number) for number in numbers)
    work = (
        at_rate(int(port), first, second, int(third))
        if kind == "rate"
        else events(int(port), int(first), second, int(third))
    )
    print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main()
