"""The load, the same for all: one transaction at a time on each connection, messages of 5 kB, counted at the reply that takes them."""

import asyncio
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "store"))
from delivery import deliver, greeted  # noqa: E402
from servers import USER  # noqa: E402

OCTETS = 5_000


async def clients(port, hello, connections, messages):
    """Each from an address of its own, since servers count the connections of one. Seconds from the last greeting on."""
    numbers = iter(range(messages))
    opened = await asyncio.gather(*(greeted(port, hello, f"127.0.1.{place + 1}") for place in range(connections)))
    start = time.monotonic()
    await asyncio.gather(*(deliver(connection, USER, OCTETS, numbers) for connection in opened))
    return time.monotonic() - start


def load(port, connections, messages, lmtp):
    """The seconds in which all messages are taken."""
    return asyncio.run(clients(port, b"LHLO" if lmtp else b"EHLO", connections, messages))
