"""NOTIFY (RFC 5465) with Python's imaplib for the connection: one that asked once, another that changes things.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import imaplib
import sys

server, user, password = sys.argv[1:]
MESSAGE = b"From: a@b.test\r\nSubject: news\r\n\r\nHello\r\n"


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


def connect():
    connection = imaplib.IMAP4_SSL(server, timeout=10)
    ok(connection.login(user, password))
    return connection


def expect(connection, *words):
    """Reads until a line has all the words; the time limit of the connection ends the wait."""
    while True:
        line = connection.readline()
        assert line, "the connection is closed"
        if all(word in line for word in words):
            return line


def refused(connection, code, groups):
    try:
        answer = connection.xatom("NOTIFY", "SET", groups)
    except imaplib.IMAP4.error as error:
        assert code in str(error), error
    else:
        assert answer[0] == "NO" and code.encode() in answer[1][0], answer


imaplib.Commands["NOTIFY"] = ("AUTH", "SELECTED")
watcher, other = connect(), connect()
assert "NOTIFY" in ok(watcher.capability())[0].decode().split()
refused(watcher, "BADEVENT", "(personal (AnnotationChange))")
refused(watcher, "stand together", "(personal (MessageNew))")
ok(watcher.select())
ok(watcher.xatom("NOTIFY", "SET", "(selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge FlagChange))"
                 " (personal (MessageNew MessageExpunge MailboxName))"))

# No command runs from here on.
ok(other.append("INBOX", None, None, MESSAGE))
expect(watcher, b"1 EXISTS")
expect(watcher, b"1 FETCH (UID 1 BODY[HEADER.FIELDS (SUBJECT)]")
expect(watcher, b"Subject: news")
expect(watcher, b")\r\n")
ok(other.append("Archive", None, None, MESSAGE))
expect(watcher, b"STATUS Archive (MESSAGES 1 UIDNEXT 2")
ok(other.create("Lists"))
expect(watcher, b'LIST (\\HasNoChildren) "/" Lists')
ok(other.select())
ok(other.store("1", "+FLAGS", r"(\Deleted)"))
expect(watcher, b"1 FETCH (UID 1 FLAGS (", b"\\Deleted")
ok(other.expunge())
expect(watcher, b"1 EXPUNGE")

# The same while IDLE runs.
watcher.send(b"I1 IDLE\r\n")
expect(watcher, b"+ idling")
ok(other.append("Archive", None, None, MESSAGE))
expect(watcher, b"STATUS Archive (MESSAGES 2 UIDNEXT 3")
watcher.send(b"DONE\r\n")
expect(watcher, b"I1 OK")
ok(watcher.xatom("NOTIFY", "NONE"))
print("done")
