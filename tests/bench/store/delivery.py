"""Durable deliveries a second over SMTP: one transaction at a time on each connection, counted at the 250.

The clock starts when all connections are greeted: how long a stranger waits for the greeting is a setting (`greet_pause`).
"""

import asyncio
import time

MESSAGES = {1: 400, 20: 3000}
BARS = {(5_000, 1): 640, (50_000, 1): 480, (5_000, 20): 2000, (50_000, 20): 1200}
LINE = b"Another line of an ordinary letter, as long as lines of letters are, and not one octet more.\r\n"


def message(number, octets, recipient):
    head = (f"From: Bo <bo@stranger.example>\r\nTo: <{recipient}>\r\nSubject: delivery {number}\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{number}.{octets}@stranger.example>\r\n\r\nSerial {number}\r\n").encode()
    return head + LINE * ((octets - len(head)) // len(LINE)) + b".\r\n"


async def reply(reader, wanted):
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if not line.startswith(wanted):
        raise RuntimeError(f"expected {wanted}, got {line}")


async def greeted(port, hello=b"EHLO", address="127.0.0.1"):
    """A connection, from this address, that may begin."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    await reply(reader, b"2")
    writer.write(hello + b" stranger.example\r\n")
    await reply(reader, b"2")
    return reader, writer


async def deliver(connection, recipient, octets, numbers):
    reader, writer = connection
    for number in numbers:
        writer.write(f"MAIL FROM:<bo@stranger.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        for wanted in (b"250", b"250", b"354"):
            await reply(reader, wanted)
        writer.write(message(number, octets, recipient))
        await reply(reader, b"250")
    writer.close()


async def rate(port, recipient, octets, connections, first):
    count = MESSAGES[connections]
    numbers = iter(range(first, first + count))
    opened = await asyncio.gather(*(greeted(port) for _ in range(connections)))
    start = time.monotonic()
    await asyncio.gather(*(deliver(connection, recipient, octets, numbers) for connection in opened))
    return count / (time.monotonic() - start)


def delivery_rates(port, recipient):
    """Names, bars and rates."""
    rates = []
    for at, ((octets, connections), bar) in enumerate(BARS.items()):
        name = f"delivery, {connections} connection(s), {octets // 1000} kB"
        rates.append((name, bar, asyncio.run(rate(port, recipient, octets, connections, 1_000_000 * at))))
    return rates
