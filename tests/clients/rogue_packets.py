"""Sends home whatever a taken-over edge can make up, and prints as JSON which of it was answered.

Arguments: home's address in its own network, and that of a neighbour there. Raw packets go straight to the tunnel's
interface, past this machine's own rules and routes. Answers are [kind, source address, source port]; kinds are
"syn-ack", "reset", "udp", "echo" and "other".
"""

import json
import ipaddress
import socket
import struct
import sys
import threading
import time

lan, neighbour = sys.argv[1:]
INNER4, INNER6 = "10.118.0.2", "fd70:6f73:7465::2"
EDGE4, EDGE6, WORLD = "10.118.0.1", "fd70:6f73:7465::1", "198.51.100.25"
SYN, ACK, RST = 2, 16, 4
ANSWER_PORT = 40000
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("postern0", 0))
wire.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
answers = set()


def checksum(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def packet(source, destination, protocol, body, options=b"", fragment=0):
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if source.version == 4:
        header = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(body), 7, fragment, 64,
                             protocol, 0) + source.packed + destination.packed + options
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
    next_header = options[0] if options else protocol
    return struct.pack("!IHBB", 6 << 28, len(options[1:]) + len(body), next_header, 255) + source.packed \
        + destination.packed + options[1:] + body


def transport(source, destination, protocol, head, at):
    """Fills in the checksum, which stands at octet `at`."""
    source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    pseudo = source.packed + destination.packed + struct.pack("!II", len(head), protocol)
    return head[:at] + struct.pack("!H", checksum(pseudo + head)) + head[at + 2:]


def tcp(source, destination, port, flags=SYN):
    head = struct.pack("!HHIIBBHHH", ANSWER_PORT, port, 1, 1 if flags & ACK else 0, 0x50, flags, 8192, 0, 0)
    return transport(source, destination, 6, head, 16)


def udp(source, destination, port):
    return transport(source, destination, 17, struct.pack("!HHHH", ANSWER_PORT, port, 12, 0) + b"ping", 6)


def send(octets):
    while True:
        try:
            return wire.send(octets)
        except OSError:
            time.sleep(0.001)


def listen():
    while True:
        octets, (_, _, kind, *_) = wire.recvfrom(2048)
        if kind != 4:  # PACKET_OUTGOING: what this script sends itself
            note(octets)


def note(octets):
    version = octets[0] >> 4
    if version == 4:
        protocol, source, body = octets[9], str(ipaddress.ip_address(octets[12:16])), octets[(octets[0] & 15) * 4:]
    else:
        protocol, source, body = octets[6], str(ipaddress.ip_address(octets[8:24])), octets[40:]
    if protocol == 253:
        return
    if protocol == 6 and struct.unpack("!H", body[2:4])[0] == ANSWER_PORT:
        kind = {SYN | ACK: "syn-ack"}.get(body[13] & 0x17, "reset" if body[13] & RST else "other")
        answers.add((kind, source, struct.unpack("!H", body[:2])[0]))
    elif protocol == 17:
        answers.add(("udp", source, struct.unpack("!H", body[:2])[0]))
    elif (protocol, body[0]) in ((1, 0), (58, 129)):
        answers.add(("echo", source, 0))


def ports_of(destination, source, ports):
    for count, port in enumerate(ports):
        send(packet(source, destination, 6, tcp(source, destination, port)))
        if count % 256 == 0:
            time.sleep(0.005)


def elsewhere():
    """Every other address that home may have or know, from every source that it may believe."""
    known = [25, 443, 465, 587, 993, 995, 22, 53, 80, 8053, 8080]
    v4 = [lan, neighbour, "127.0.0.1", "169.254.118.2", "192.168.1.255", "255.255.255.255", "224.0.0.1", "0.0.0.0"]
    v6 = ["::1", "fe80::1", "ff02::1", "::ffff:10.118.0.2", "fd70:6f73:7465::1"]
    for destination in v4:
        for source in (EDGE4, WORLD, neighbour):
            ports_of(destination, source, known)
            send(packet(source, destination, 17, udp(source, destination, 8080)))
            send(packet(source, destination, 1, b"\x08\0\xf7\xfe\0\1\0\0"))
    for destination in v6:
        ports_of(destination, EDGE6, known)


def hidden():
    """The private service by ways that hide the port, and what is no TCP."""
    syn4, syn6 = tcp(EDGE4, INNER4, 8080), tcp(EDGE6, INNER6, 8080)
    send(packet(EDGE4, INNER4, 6, syn4, options=b"\1\1\1\0"))
    send(packet(EDGE4, INNER4, 6, syn4[:8], fragment=0x2000))
    send(packet(EDGE4, INNER4, 6, syn4[8:], fragment=0x0001))
    send(packet(EDGE6, INNER6, 6, syn6, options=bytes([0, 6, 0, 1, 4, 0, 0, 0, 0])))
    send(packet(EDGE6, INNER6, 6, syn6, options=bytes([60, 6, 0, 1, 4, 0, 0, 0, 0])))
    send(packet(EDGE6, INNER6, 6, syn6, options=bytes([44, 6, 0, 0, 0, 0, 0, 0, 9])))
    send(packet(EDGE4, INNER4, 6, tcp(EDGE4, INNER4, 8080, SYN | 1)))
    for source, destination in ((EDGE4, INNER4), (EDGE6, INNER6)):
        for port in (53, 8080, 51820):
            send(packet(source, destination, 17, udp(source, destination, port)))
    # Home's own addresses, its neighbour's and loopback as the source of a connection to a service that is listed.
    for source in (INNER4, lan, "127.0.0.1", "0.0.0.0", "255.255.255.255"):
        send(packet(source, INNER4, 6, tcp(source, INNER4, 25)))


def persuade():
    """Messages that would change home's routes: router advertisement (RFC 4861 §4.2), neighbour and redirect."""
    router = "fe80::e"
    advertisement = bytes([134, 0, 0, 0, 64, 0]) + struct.pack("!HII", 1800, 0, 0)
    prefix = bytes([3, 4, 64, 0xc0]) + struct.pack("!III", 86400, 86400, 0) \
        + ipaddress.ip_address("2001:db8:bad::").packed
    for destination in (INNER6, "ff02::1"):
        send(packet(router, destination, 58, transport(router, destination, 58, advertisement + prefix, 2)))
    inner = packet(INNER4, WORLD, 17, udp(INNER4, WORLD, 53))[:28]
    redirect = bytes([5, 1, 0, 0]) + ipaddress.ip_address(EDGE4).packed + inner
    redirect = redirect[:2] + struct.pack("!H", checksum(redirect)) + redirect[4:]
    send(packet(EDGE4, INNER4, 1, redirect))


threading.Thread(target=listen, daemon=True).start()
ports_of(INNER4, EDGE4, range(1, 65536))
ports_of(INNER6, EDGE6, range(1, 65536))
time.sleep(1)
for port in (25, 443, 465, 587, 993, 995):  # once more what the flood may have lost
    ports_of(INNER4, EDGE4, [port])
    ports_of(INNER6, EDGE6, [port])
elsewhere()
hidden()
persuade()
time.sleep(1)
print(json.dumps(sorted(answers)))
