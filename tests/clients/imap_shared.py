"""Two users of one home share a mailbox, with Python's imaplib.

Arguments: server, owner, reader, the password of both. Prints "done"; any surprise is an exception.
"""

import imaplib
import sys

server, owner, reader, password = sys.argv[1:]
for name in ("GETMETADATA", "SETMETADATA"):
    imaplib.Commands[name] = ("AUTH", "SELECTED")
MESSAGE = b"From: ana@home.example\r\nSubject: the bills\r\n\r\nThe same octets for both.\r\n"
SHARED = f'"Other Users/{owner}/Bills"'


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def connect(user):
    connection = imaplib.IMAP4_SSL(server, timeout=30)
    connection.login(user, password)
    return connection


def until(connection, ending):
    while not (line := connection.readline()).strip().endswith(ending):
        assert line, f"the server closed the connection before {ending}"


ana, bo = connect(owner), connect(reader)
ok(ana.create("Bills"))
assert bo.select(SHARED)[0] == "NO", "nothing is shared yet"
ok(ana.setacl("Bills", reader, "lrs"))
assert f'"Other Users/{owner}/Bills"'.encode() in b" ".join(ok(bo.list('""', '"Other Users/*"')))
assert ok(bo.myrights(SHARED))[0].endswith(b" lrs")
ok(bo.select(SHARED))

# Bo waits; Ana puts a message there.
bo.send(b"I1 IDLE\r\n")
assert bo.readline().startswith(b"+")
ok(ana.append("Bills", r"(\Flagged)", None, MESSAGE))
until(bo, b"1 EXISTS")
bo.send(b"DONE\r\n")
until(bo, b"completed")
assert ok(bo.fetch("1", "(BODY.PEEK[])"))[0][1] == MESSAGE
ok(bo.copy("1", "Archive"))
assert bo.copy("1", SHARED)[0] == "NO", "Bo may not put anything there"

# Notes: the private ones are each user's own, the shared ones the mailbox's.
for user, name, value in ((bo, SHARED, "Bo"), (ana, "Bills", "Ana")):
    ok(user._simple_command("SETMETADATA", name, f'(/private/comment "{value}")'))
ok(bo._simple_command("SETMETADATA", SHARED, '(/shared/comment "due on Monday")'))
for user, name, value in ((bo, SHARED, b"Bo"), (ana, "Bills", b"Ana")):
    ok(user._simple_command("GETMETADATA", name, "(/private/comment /shared/comment)"))
    told = b"".join(user._untagged_response("OK", [None], "METADATA")[1])
    assert b'/private/comment "%s"' % value in told and b'/shared/comment "due on Monday"' in told, told

# Ana takes it back while Bo waits: that connection ends.
bo.send(b"I2 IDLE\r\n")
assert bo.readline().startswith(b"+")
ok(ana.deleteacl("Bills", reader))
assert bo.readline().startswith(b"* BYE"), "the rights are gone"
bo = connect(reader)
assert bo.select(SHARED)[0] == "NO"
ok(bo.select("Archive"))
flags, message = ok(bo.fetch("1", "(FLAGS BODY.PEEK[])"))[0]
assert rb"\Flagged" in flags and message == MESSAGE, (flags, message)
print("done")
