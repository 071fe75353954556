"""The name server under attack: spoofed queries, random names, idle connections. All of 127.0.0.0/8 is local, so each
attacker has as many client networks as it likes."""

import base64
import os
import resource
import select
import socket
import struct
import subprocess
import sys
import time

SPOOFED_EACH_SECOND = 20_000
IDLE_CONNECTIONS = 2_000
to_base64 = lambda octets: base64.b64encode(octets).decode()
from_base64 = base64.b64decode


def query(name, number, dnssec, identifier):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0" if dnssec else b""
    return struct.pack(">6H", identifier, 0, 1, 0, 0, 1 if dnssec else 0) + labels + b"\0" + struct.pack(">2H", number, 1) + opt


def client(address):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.setblocking(False)
    return made


def spoof(port, networks, seconds=4):
    """Octets that the victims get for each octet that the attacker sends: DNSKEY and TXT with DO, from `networks` /24s."""
    sockets = [client(f"127.{10 + number // 250}.{number % 250}.1") for number in range(networks)]
    questions = [query("home.example", number, True, 7) for number in (48, 16)]
    poll = select.epoll()
    by_number = {one.fileno(): one for one in sockets}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    sent = received = count = 0
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds + 0.5:
        while elapsed < seconds and count < elapsed * SPOOFED_EACH_SECOND:
            question = questions[count % 2]
            try:
                sockets[count % networks].sendto(question, ("127.0.0.1", port))
                sent += len(question)
            except BlockingIOError:
                pass
            count += 1
            if count % 64 == 0:
                break
        for number, _ in poll.poll(0.001):
            try:
                while octets := by_number[number].recv(4096):
                    received += len(octets)
            except BlockingIOError:
                pass
    for one in sockets:
        one.close()
    return received / sent, count / seconds


def ask(port, number):
    """One real question: over UDP, and over TCP if it is told so; whether it was answered, and in how many seconds."""
    start = time.monotonic()
    question = query("mail.home.example", 1, False, number % 65536)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.200.0.7", 0))
            udp.settimeout(2)
            udp.sendto(question, ("127.0.0.1", port))
            answer = udp.recv(4096)
        if answer[2] & 2:
            answer = ask_tcp(port, question)
    except OSError:
        return False, 2.0
    return answer[3] & 15 == 0 and answer[7] == 1, time.monotonic() - start


def ask_tcp(port, question):
    with socket.create_connection(("127.0.0.1", port), 2, ("127.200.0.7", 0)) as tcp:
        tcp.sendall(struct.pack(">H", len(question)) + question)
        return tcp.recv(4096)[2:]


def ask_for(port, seconds, each_second):
    """Share of real questions answered, and the slowest of the quickest 99 % in milliseconds."""
    results = []
    start = time.monotonic()
    while (elapsed := time.monotonic() - start) < seconds:
        if len(results) < elapsed * each_second:
            results.append(ask(port, len(results)))
        else:
            time.sleep(0.002)
    times = sorted(taken for _, taken in results)
    return sum(good for good, _ in results) / len(results), 1000 * times[len(times) * 99 // 100]


def flood(port, seconds):
    """Names that nobody has, from one network, at SPOOFED_EACH_SECOND; gives how many were sent."""
    attacker = client("127.9.9.9")
    start, count = time.monotonic(), 0
    while (elapsed := time.monotonic() - start) < seconds:
        if count >= elapsed * SPOOFED_EACH_SECOND:
            time.sleep(0.001)
            continue
        try:
            attacker.sendto(query(f"{count * 2654435761 % 2**32:08x}.home.example", 1, True, count % 65536), ("127.0.0.1", port))
        except BlockingIOError:
            pass
        count += 1
    return count


def random_names(server, seconds=6):
    """Real answers while random names come at 20,000 a second."""
    before = server.processor_seconds()
    command = [sys.executable, __file__, str(server.port), str(seconds + 2)]
    attacker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(1)
    share, slow = ask_for(server.port, seconds, 50)
    sent = int(attacker.communicate()[0])
    used = server.processor_seconds() - before
    return share, slow, sent / (seconds + 2), used / (seconds + 2)


def idle_connections(server):
    """Real answers over UDP and TCP beside idle connections, sixteen from each address."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, limit[1]), limit[1]))
    before = server.resident_megabytes()
    connections = [
        socket.create_connection(("127.0.0.1", server.port), 5, (f"127.30.{number // 16}.1", 0))
        for number in range(IDLE_CONNECTIONS)
    ]
    time.sleep(0.5)
    poll = select.poll()
    for one in connections:
        poll.register(one, select.POLLIN)
    held = len(connections) - len(poll.poll(0))
    good = 0
    for number in range(100):
        try:
            good += ask_tcp(server.port, query("mail.home.example", 1, False, number))[7] == 1
        except OSError:
            pass
    share, _ = ask_for(server.port, 2, 50)
    grown = server.resident_megabytes() - before
    for one in connections:
        one.close()
    return held, good / 100, share, grown


def measure(server, core):
    """All figures, by name."""
    os.sched_setaffinity(0, {core})
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    figures = {}
    for networks in (1, 1000):
        with server:
            ratio, rate = spoof(server.port, networks)
            figures[f"octets out for each in, {networks} spoofed networks"] = round(ratio, 2)
            figures[f"  spoofed queries a second, {networks} networks"] = round(rate)
    with server:
        share, slow, rate, cores = random_names(server)
        figures["real questions answered beside random names, %"] = round(100 * share, 2)
        figures["  99 of 100 within ms"] = round(slow, 1)
        figures["  random names a second"] = round(rate)
        figures["  cores used by the server"] = round(cores, 2)
    with server:
        held, tcp, udp, grown = idle_connections(server)
        figures["idle connections held"] = held
        figures["  real questions answered over TCP beside them, %"] = round(100 * tcp, 1)
        figures["  real questions answered over UDP beside them, %"] = round(100 * udp, 1)
        figures["  memory that they cost the server, MB"] = round(grown, 1)
    return figures


if __name__ == "__main__":
    print(flood(int(sys.argv[1]), int(sys.argv[2])))
