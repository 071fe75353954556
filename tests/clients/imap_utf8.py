"""UTF8=ACCEPT (RFC 6855) with Python's imaplib, which then writes and reads UTF-8 in commands and answers.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import imaplib
import sys

server, user, password = sys.argv[1:]
MAILBOX = "Entwürfe & 下書き"
MESSAGE = """From: Jörg <jörg@stranger.example>\r
To: ana@home.example\r
Subject: Grüße aus 東京\r
\r
Schöne Grüße.\r
""".encode()


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


def append(connection, mailbox, message):
    """imaplib's own puts the word UTF8 inside of the literal, so that it would be a part of the message."""
    tag = connection._new_tag()
    line = f'{tag.decode()} APPEND "{mailbox}" (\\Seen) UTF8 (~{{{len(message)}+}}\r\n'
    connection.send(line.encode() + message + b")\r\n")
    connection.tagged_commands[tag] = None
    ok(connection._command_complete("APPEND", tag))


def modern(connection):
    ok(connection.enable("UTF8=ACCEPT"))
    assert connection.utf8_enabled
    ok(connection.create(f'"{MAILBOX}"'))
    listed = [line.decode() for line in ok(connection.list('""', '"Entw*"'))]
    assert listed == [f'(\\HasNoChildren) "/" "{MAILBOX}"'], listed
    append(connection, MAILBOX, MESSAGE)
    ok(connection.select(f'"{MAILBOX}"'))
    assert ok(connection.search(None, "SUBJECT", '"東京"', "FROM", '"jörg@"')) == [b"1"]
    whole = ok(connection.fetch("1", "(BODY.PEEK[])"))[0][1]
    assert whole == MESSAGE, whole
    try:
        connection._simple_command("SEARCH", "CHARSET", "UTF-8", "ALL")
    except imaplib.IMAP4.error as error:
        assert "takes no CHARSET" in str(error), error
    else:
        raise AssertionError("CHARSET was taken")


def legacy(connection):
    """A program that knows nothing of this sees the mailbox by its old name, and the same octets."""
    listed = [line.decode() for line in ok(connection.list('""', '"Entw*"'))]
    assert listed == ['(\\HasNoChildren) "/" "Entw&APw-rfe &- &Tgtm+DBN-"'], listed
    ok(connection.select('"Entw&APw-rfe &- &Tgtm+DBN-"'))
    assert ok(connection.fetch("1", "(BODY.PEEK[])"))[0][1] == MESSAGE


def session(act):
    connection = imaplib.IMAP4_SSL(server, timeout=30)
    ok(connection.login(user, password))
    act(connection)
    connection.logout()


session(modern)
session(legacy)
print("done")
