"""The load, the same for all: one transaction at a time on each connection, messages of 5 kB, counted at the reply that takes them."""

import asyncio
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "store"))
from delivery import message, reply  # noqa: E402
from servers import USER  # noqa: E402

OCTETS = 5_000


async def client(place, port, hello, numbers):
    """Each from an address of its own, since servers count the connections of one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.0.1.{place + 1}", 0))
    await reply(reader, b"2")
    writer.write(hello + b" stranger.example\r\n")
    await reply(reader, b"2")
    for number in numbers:
        writer.write(f"MAIL FROM:<bo@stranger.example>\r\nRCPT TO:<{USER}>\r\nDATA\r\n".encode())
        for wanted in (b"250", b"250", b"354"):
            await reply(reader, wanted)
        writer.write(message(number, OCTETS, USER))
        await reply(reader, b"250")
    writer.close()


async def clients(port, hello, connections, messages):
    numbers = iter(range(messages))
    await asyncio.gather(*(client(place, port, hello, numbers) for place in range(connections)))


def load(port, connections, messages, lmtp):
    """Returns when all messages are taken."""
    asyncio.run(clients(port, b"LHLO" if lmtp else b"EHLO", connections, messages))
