"""What a hostile SMTP client tries, one attack a run, octet by octet: attacks.py ATTACK SERVER.

Ends with status 0 when the server stood it as it should, else with what it said.
"""

import socket
import ssl
import sys
import time

ANA = b"ana@home.example"


class Client:
    def __init__(self, server, port=25):
        self.socket = socket.create_connection((server, port), timeout=30)
        self.rest = b""

    def reply(self):
        lines = []
        while True:
            while b"\r\n" not in self.rest:
                octets = self.socket.recv(4096)
                if not octets:
                    return "closed"
                self.rest += octets
            line, self.rest = self.rest.split(b"\r\n", 1)
            lines.append(line.decode())
            if line[3:4] != b"-":
                return "\n".join(lines)

    def say(self, line, expected):
        self.send(line + b"\r\n")
        self.expect(expected, line)

    def send(self, octets):
        self.socket.sendall(octets)

    def expect(self, expected, what=b""):
        found = self.reply()
        if not any(found.startswith(one) for one in expected.split("|")):
            sys.exit(f"{what[:80]!r}: expected {expected}, got {found}")
        return found

    def greet(self):
        self.expect("220")
        self.say(b"EHLO cafe.test", "250")

    def start(self, sender=b"x@cafe.test", recipient=ANA):
        self.say(b"MAIL FROM:<" + sender + b">", "250")
        self.say(b"RCPT TO:<" + recipient + b">", "250")
        self.say(b"DATA", "354")

    def is_silent(self):
        self.socket.settimeout(0.2)
        try:
            return self.rest == b"" and self.socket.recv(1) == b""
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(30)


def greeted(server):
    client = Client(server)
    client.greet()
    return client


def smuggling(server):
    """Every end of data but the one: nothing after it is a command (2023's attack on many)."""
    ends = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n"]
    smuggled = (b"MAIL FROM:<x@cafe.test>\r\nRCPT TO:<" + ANA + b">\r\nDATA\r\n"
                b"From: x@cafe.test\r\nSubject: smuggled\r\n\r\ny")
    for end in ends:
        client = greeted(server)
        client.start()
        client.send(b"From: x@cafe.test\r\nSubject: outer\r\n\r\nx" + end + smuggled + b"\r\n.\r\n")
        client.expect("250|5", end)
        client.say(b"NOOP", "250")
        if not client.is_silent():
            sys.exit(f"{end!r}: more replies than commands")


def starttls(server):
    """Commands in clear behind STARTTLS are not heard after the handshake (CVE-2011-0411), nor is what was said before."""
    client = greeted(server)
    client.say(b"MAIL FROM:<x@cafe.test>", "250")
    client.send(b"STARTTLS\r\nRCPT TO:<" + ANA + b">\r\n")
    client.expect("220")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        client.socket = context.wrap_socket(client.socket)
    except (ssl.SSLError, OSError):
        return
    client.rest = b""
    client.say(b"RCPT TO:<" + ANA + b">", "503")
    if not client.is_silent():
        sys.exit("a command in clear was answered under TLS")


def chunks(server):
    """BDAT out of order, of sizes that are none, and a last chunk that is none."""
    client = greeted(server)
    client.send(b"BDAT 4\r\nabcd")
    client.expect("503|554")
    client.send(b"BDAT 10 LAST\r\n0123456789")
    client.expect("503|554")
    client.say(b"NOOP", "250")
    client.say(b"MAIL FROM:<x@cafe.test>", "250")
    client.say(b"RCPT TO:<" + ANA + b">", "250")
    client.send(b"BDAT 5\r\nabcde")
    client.expect("250")
    client.say(b"DATA", "503")
    client.say(b"RSET", "250")
    client.say(b"NOOP", "250")
    for size in [b"-1", b"99999999999999999999999", b"1x", b""]:
        client = greeted(server)
        client.say(b"MAIL FROM:<x@cafe.test>", "250")
        client.say(b"RCPT TO:<" + ANA + b">", "250")
        client.say(b"BDAT " + size, "5")


def sizes(server):
    """Lies about SIZE, giant lines, headers and lists of recipients end in a refusal, not in memory."""
    client = greeted(server)
    client.say(b"MAIL FROM:<x@cafe.test> SIZE=99999999999", "552")
    client.say(b"MAIL FROM:<x@cafe.test> SIZE=99999999999999999999999999", "5")
    client.send(b"MAIL FROM:<" + b"x" * 2_000_000 + b">\r\n")
    client.expect("500|501|553|421|closed")
    client = greeted(server)
    client.say(b"MAIL FROM:<x@cafe.test>", "250")
    client.send((b"RCPT TO:<" + ANA + b">\r\n") * 1000)
    replies = [client.reply()[:3] for _ in range(1000)]
    if "452" not in replies or replies.count("250") > 200:
        sys.exit(f"1000 recipients: {replies.count('250')} taken, {sorted(set(replies))}")
    client = greeted(server)
    client.start()
    client.send(b"".join(b"X-%d: %s\r\n" % (n, b"y" * 900) for n in range(2000)) + b"From: x@cafe.test\r\n\r\nx\r\n.\r\n")
    client.expect("552|554")
    client.say(b"NOOP", "250")


def loris(server):
    """Clients that say one octet now and then, or nothing, keep nobody else waiting."""
    held = [Client(server) for _ in range(40)]
    for client in held:
        # Who talks before the greeting is sent away, and banned in the end.
        client.expect("220")
        client.send(b"E")
    begun = time.monotonic()
    client = Client(sys.argv[3] if len(sys.argv) > 3 else server)
    client.greet()
    took = time.monotonic() - begun
    if took > 8:
        sys.exit(f"another client waited for {took:.1f} s")


def backscatter(server):
    """What cannot be delivered is refused in the session, so that nobody gets a report of a forged sender's mail."""
    client = greeted(server)
    client.say(b"MAIL FROM:<sam@stranger.test>", "250")
    client.say(b"RCPT TO:<nobody@home.example>", "550")
    client.say(b"DATA", "503|554")


def injection(server):
    """Addresses, HELO names and parameters that carry line ends or NUL add no field and no command."""
    for line in [b"MAIL FROM:<x\rBcc: y@cafe.test>", b"MAIL FROM:<x\0@cafe.test>", b"MAIL FROM:<x\n@cafe.test>"]:
        client = greeted(server)
        client.say(line, "5")
    client = Client(server)
    client.expect("220")
    client.say(b"EHLO cafe.test)\x00\tReceived: from a", "5")


def identities(server):
    """Several authors, or an author that two readers read differently, are refused."""
    for author in [b"From: ana@home.example\r\nFrom: x@cafe.test", b"From: ana@home.example,\r\nFrom : x@cafe.test"]:
        client = greeted(server)
        client.start()
        client.send(author + b"\r\nSubject: two authors\r\n\r\nx\r\n.\r\n")
        client.expect("5")


globals()[sys.argv[1]](sys.argv[2])
