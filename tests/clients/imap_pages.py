"""Pages of results (PARTIAL) and a session without message numbers (UIDONLY), with Python's imaplib for the connection.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import imaplib
import re
import sys

server, user, password = sys.argv[1:]


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


def connect():
    connection = imaplib.IMAP4_SSL(server, timeout=30)
    ok(connection.login(user, password))
    return connection


def told(connection, name):
    return connection.untagged_responses.pop(name, [])


def refused(connection, code, *command):
    try:
        answer = connection.uid(*command[1:]) if command[0] == "UID" else connection._simple_command(*command)
    except imaplib.IMAP4.error as error:
        assert code in str(error), error
    else:
        raise AssertionError((command, answer))


def page(connection, wanted, tail):
    ok(connection._simple_command("UID", "SEARCH", "RETURN", "(PARTIAL %s)" % wanted, "ALL"))
    answer = told(connection, "ESEARCH")
    assert len(answer) == 1 and answer[0].decode().endswith("UID PARTIAL (%s %s)" % (wanted, tail)), answer


def fetched(connection, *modifiers, set="1:*"):
    lines = ok(connection.uid("FETCH", set, "(FLAGS)", *modifiers))
    return [re.search(rb"UID (\d+)", line).group(1).decode() for line in lines if line]


def pages(connection):
    page(connection, "1:2", "1:2")
    page(connection, "4:900", "4:5")
    page(connection, "-1:-2", "4:5")
    page(connection, "-5:-4", "1:2")
    page(connection, "6:7", "NIL")
    for wrong in ("(PARTIAL 1:2 ALL)", "(PARTIAL 0:2)", "(PARTIAL -1:2)", "(PARTIAL 1:*)"):
        refused(connection, "BAD", "UID", "SEARCH", "RETURN", wrong, "ALL")
    # The page is what $ stands for.
    ok(connection._simple_command("UID", "SEARCH", "RETURN", "(SAVE PARTIAL -2:-3)", "ALL"))
    assert fetched(connection, set="$") == ["3", "4"]
    assert fetched(connection, "(PARTIAL -1:-2)") == ["4", "5"]
    ok(connection.uid("STORE", "2", "+FLAGS.SILENT", r"(\Seen)"))
    changed = int(re.search(rb"MODSEQ \((\d+)\)", ok(connection.uid("FETCH", "2", "(MODSEQ)"))[0]).group(1))
    assert fetched(connection, "(CHANGEDSINCE %d PARTIAL 1:2)" % (changed - 1)) == ["2"]
    assert fetched(connection, "(PARTIAL -1:-2 CHANGEDSINCE %d)" % (changed - 1)) == []
    refused(connection, "BAD", "FETCH", "1:*", "(FLAGS)", "(PARTIAL 1:2)")


def uids_only(watcher):
    ok(watcher.enable("UIDONLY"))
    ok(watcher.select())
    assert not told(watcher, "UNSEEN"), "SELECT told a message number"
    for command in (("FETCH", "1", "FLAGS"), ("SEARCH", "ALL"), ("STORE", "1", "+FLAGS", r"(\Seen)"), ("COPY", "1", "Archive"),
                    ("MOVE", "1", "Archive"), ("SORT", "(DATE)", "UTF-8", "ALL"), ("THREAD", "REFERENCES", "UTF-8", "ALL"),
                    ("UID", "SEARCH", "1:2"), ("UID", "SEARCH", "NOT", "1"), ("UID", "SORT", "(DATE)", "UTF-8", "1")):
        refused(watcher, "UIDREQUIRED", *command)
    ok(watcher.uid("FETCH", "1,3", "(FLAGS)"))
    lines = told(watcher, "UIDFETCH")
    assert [line.split(b" ", 1)[0] for line in lines] == [b"1", b"3"] and b"UID" not in lines[0], lines
    ok(watcher.uid("STORE", "3", "+FLAGS", r"(\Flagged)"))
    assert [line.split(b" ", 1)[0] for line in told(watcher, "UIDFETCH")] == [b"3"]
    other = connect()
    ok(other.select())
    ok(other.uid("STORE", "4", "+FLAGS", r"(\Deleted)"))
    ok(other.expunge())
    watcher.untagged_responses.clear()
    ok(watcher.noop())
    assert told(watcher, "VANISHED") == [b"4"], watcher.untagged_responses
    assert not told(watcher, "EXPUNGE") and not told(watcher, "FETCH"), watcher.untagged_responses
    ok(watcher.uid("MOVE", "3", "Archive"))
    assert told(watcher, "VANISHED") == [b"3"], watcher.untagged_responses


def main():
    connection = connect()
    for number in range(5):
        ok(connection.append("INBOX", None, None, b"From: a@b.test\r\nSubject: %d\r\n\r\n" % number))
    offered = ok(connection.capability())[0].decode().split()
    for capability in ("PARTIAL", "UIDONLY"):
        assert capability in offered, (capability, offered)
    ok(connection.select())
    pages(connection)
    uids_only(connect())
    print("done")


main()
