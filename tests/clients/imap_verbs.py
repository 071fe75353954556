"""Commands that few clients send, with Python's imaplib for the connection and zlib for its compression.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import imaplib
import re
import sys
import zlib

server, user, password = sys.argv[1:]
MESSAGE = b"From: ana@home.example\r\nSubject: first\r\n\r\n" + b"the same line again\r\n" * 200
for name in ("COMPRESS", "GETMETADATA", "SETMETADATA"):
    imaplib.Commands[name] = ("AUTH", "SELECTED")


class Connection(imaplib.IMAP4_SSL):
    """Compresses after COMPRESS (RFC 4978), and counts what passes."""

    layer = None
    came = 0
    meant = 0

    def compress(self):
        ok(self._simple_command("COMPRESS", "DEFLATE"))
        self.layer = zlib.compressobj(wbits=-15), zlib.decompressobj(wbits=-15)
        self.inflated = b""

    def send(self, data):
        if self.layer:
            data = self.layer[0].compress(data) + self.layer[0].flush(zlib.Z_SYNC_FLUSH)
        super().send(data)

    def more(self):
        octets = self.sock.recv(65536)
        assert octets, "the server has closed the connection"
        self.came += len(octets)
        plain = self.layer[1].decompress(octets)
        self.meant += len(plain)
        self.inflated += plain

    def take(self, count):
        taken, self.inflated = self.inflated[:count], self.inflated[count:]
        return taken

    def read(self, size):
        if not self.layer:
            return super().read(size)
        while len(self.inflated) < size:
            self.more()
        return self.take(size)

    def readline(self):
        if not self.layer:
            return super().readline()
        while b"\n" not in self.inflated:
            self.more()
        return self.take(self.inflated.index(b"\n") + 1)


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


def appended(answer):
    return re.search(rb"APPENDUID \d+ (\d+)", ok(answer)[0]).group(1).decode()


def compression(connection):
    connection.compress()
    uid = appended(connection.append("Drafts", r"(\Draft)", None, MESSAGE))
    ok(connection.select("Drafts"))
    whole = ok(connection.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]
    assert whole == MESSAGE, "the message is not the one appended"
    assert connection.came * 4 < connection.meant, (connection.came, connection.meant)
    return uid


def catenation(connection, uid):
    header = b"From: ana@home.example\r\nSubject: second\r\n\r\n"
    tag = connection._new_tag()
    connection.send(tag + b" APPEND Drafts CATENATE (TEXT {%d+}\r\n" % len(header) + header)
    connection.send(b' URL "/Drafts/;UID=%s/;SECTION=TEXT")\r\n' % uid.encode())
    connection.tagged_commands[tag] = None
    second = appended(connection._command_complete("APPEND", tag))
    whole = ok(connection.uid("FETCH", second, "(BODY.PEEK[])"))[0][1]
    assert whole == MESSAGE.replace(b"first", b"second"), whole[:200]
    return second


def replacement(connection, uid):
    connection.literal = MESSAGE.replace(b"first", b"third")
    ok(connection._simple_command("UID", "REPLACE", uid, "Drafts", r"(\Draft \Seen)"))
    subjects = ok(connection.uid("SEARCH", "SUBJECT", "third"))[0].split()
    assert len(subjects) == 1 and ok(connection.uid("SEARCH", "UID", uid)) == [b""], subjects
    return subjects[0].decode()


def metadata(connection):
    ok(connection._simple_command("SETMETADATA", "Drafts", '(/private/comment "by imaplib")'))
    ok(connection._simple_command("GETMETADATA", "Drafts", "(/private/comment)"))
    told = connection._untagged_response("OK", [None], "METADATA")[1]
    assert told == [b'Drafts (/private/comment "by imaplib")'], told


def main():
    connection = Connection(server, timeout=30)
    ok(connection.login(user, password))
    offered = ok(connection.capability())[0].decode().split()
    for capability in ("COMPRESS=DEFLATE", "REPLACE", "CATENATE", "METADATA"):
        assert capability in offered, (capability, offered)
    first = compression(connection)
    second = catenation(connection, first)
    third = replacement(connection, second)
    left = ok(connection.uid("SEARCH", "ALL"))[0].split()
    assert left == [first.encode(), third.encode()], left
    metadata(connection)
    ok(connection.unselect())
    print("done")


main()
