"""A command that takes long: the server says that it is at it (INPROGRESS, RFC 9585). With Python's imaplib.

Arguments: server, user, password. Prints "ready", waits for a line, and prints "done"; any surprise is an exception.
"""

import imaplib
import sys
import time

server, user, password = sys.argv[1:]


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


connection = imaplib.IMAP4_SSL(server, timeout=60)
ok(connection.login(user, password))
assert "INPROGRESS" in ok(connection.capability())[0].decode().split()
ok(connection.append("INBOX", None, None, b"Subject: slow\r\n\r\n"))
ok(connection.select())
print("ready", flush=True)
sys.stdin.readline()
connection.untagged_responses.clear()
begun = time.monotonic()
ok(connection.uid("STORE", "1", "+FLAGS", r"(\Flagged)"))
assert time.monotonic() - begun > 10, "the disk was not slow"
told = connection.untagged_responses["INPROGRESS"]
assert len(told) == 1 and told[0].endswith(b'" NIL NIL)'), told
assert br"\Flagged" in ok(connection.uid("FETCH", "1", "(FLAGS)"))[0]
print("done")
