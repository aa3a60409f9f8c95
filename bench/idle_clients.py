"""What idle clients cost: 1,000 that are registered and ask for work in the poll interval.

`make bench-rounds` runs it. API, coordinator, Postgres (with fsync) and Valkey are real; the
clients are connections of one process that sends what a worker sends, each once in five seconds.
Each has asked once before, for the first use of a key is noted in Postgres.
CPU seconds of the servers are read from /proc and divided by the wall clock: once with connections
that are kept and once with a new one for each request, in one run.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from bench.stacks import BenchStack, cpu_seconds, load_average, settings, workplace
from shared.views import ClientCreate

INTERVAL_S = 5.0
LIMIT_CORES = 1.0
SERVERS = ("process api", "process coordinator", "Postgres", "Valkey")
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Tally:
    """What the clients were answered."""

    asked: int = 0
    refused: int = 0
    slowest_s: float = 0.0


def register(stack: BenchStack, n: int) -> list[str]:
    """Register so many clients; returns their keys."""
    with stack.client() as api:
        return [api.create_client(ClientCreate(id=f"i{i:04}"), f"idle-{i}").key for i in range(n)]


async def idle(stack: BenchStack, keys: Sequence[str], seconds: float, *, kept: bool) -> Tally:
    """Let a client for each key ask for work now and then."""
    tally, end = Tally(), time.monotonic() + seconds
    step = INTERVAL_S / len(keys)
    await asyncio.gather(
        *(_client(stack.url, key, i * step, end, tally, kept=kept) for i, key in enumerate(keys))
    )
    return tally


async def _client(
    url: str, key: str, start_s: float, end: float, tally: Tally, *, kept: bool
) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    stream: Stream | None = None
    next_at = time.monotonic() + start_s
    while next_at < end:
        await asyncio.sleep(next_at - time.monotonic())
        began = time.monotonic()
        stream = stream or await asyncio.open_connection(host, int(port))
        try:
            status, kept_open = await _claim(stream, key, kept=kept)
        except (asyncio.IncompleteReadError, ConnectionError):  # closed for being idle: a new one
            stream[1].close()
            stream = await asyncio.open_connection(host, int(port))
            status, kept_open = await _claim(stream, key, kept=kept)
        tally.asked += 1
        tally.refused += status != 204
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - began)
        if not kept_open:
            stream[1].close()
            stream = None
        next_at += INTERVAL_S


async def _claim(stream: Stream, key: str, *, kept: bool) -> tuple[int, bool]:
    """Ask for work: the answer's status, and whether the connection can be used again."""
    reader, writer = stream
    writer.write(
        b"POST /v1/assignments:claim HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n"
        b"Lease-Id: " + str(uuid4()).encode() + b"\r\n"
        b"Authorization: Bearer %s\r\nConnection: %s\r\n\r\n"
        % (key.encode(), b"keep-alive" if kept else b"close")
    )
    head = await reader.readuntil(b"\r\n\r\n")
    return int(head.split()[1]), kept and b"connection: close" not in head.lower()


def measure(stack: BenchStack, keys: Sequence[str], seconds: float, *, kept: bool) -> float:
    """Print what the servers used meanwhile; returns cores."""
    pids = {name: stack.child(name).process.pid for name in SERVERS}
    before = {name: cpu_seconds(pids[name]) for name in SERVERS}
    began = time.monotonic()
    tally = asyncio.run(idle(stack, keys, seconds, kept=kept))
    wall = time.monotonic() - began
    used = {n: (cpu_seconds(pids[n]) - before[n]) / wall for n in SERVERS}
    print(
        f"{len(keys)} clients, connections {'kept' if kept else 'new each time'}: "
        f"{tally.asked / wall:.0f} requests/s, {tally.refused} refused, "
        f"slowest {tally.slowest_s:.2f} s"
    )
    for name, cores in used.items():
        print(f"    {name.removeprefix('process '):12} {cores:.3f} cores")
    print(f"    {'together':12} {sum(used.values()):.3f} cores")
    if tally.refused:
        raise RuntimeError("clients were refused: the figures mean nothing")
    return sum(used.values())


def main() -> None:
    """Print the cores in use; exit with 1 if they are over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with (
        workplace() as (processes, root),
        BenchStack(processes, settings(root, [], 1)) as stack,
    ):
        keys = register(stack, given.clients)
        print(f"load average before: {load_average()}")
        asyncio.run(idle(stack, keys, INTERVAL_S, kept=False))
        cores = [measure(stack, keys, given.seconds, kept=kept) for kept in (True, False)]
        print(f"load average after: {load_average()}")
    print(f"new connections cost {cores[1] / cores[0]:.2f} times as much as kept ones")
    sys.exit(int(max(cores) > LIMIT_CORES))


if __name__ == "__main__":
    main()
