"""Holds one IMAP connection in IDLE (RFC 2177) and says what it hears.

Arguments: server, user, password, and for how many seconds it may hear nothing (60). Prints "idling", then waits for EXISTS, ends IDLE, fetches the newest subject on
the same connection, and prints it.
"""

import imaplib
import sys

server, user, password, patience = (sys.argv[1:] + ["60"])[:4]
connection = imaplib.IMAP4_SSL(server, timeout=int(patience))
connection.login(user, password)
connection.select("INBOX")
connection.send(b"I1 IDLE\r\n")
line = connection.readline()
assert line.startswith(b"+"), line
print("idling", flush=True)
while not (line := connection.readline()).strip().endswith(b"EXISTS"):
    assert line, "the server closed the connection"
count = line.split()[1].decode()
connection.send(b"DONE\r\n")
while not (line := connection.readline()).startswith(b"I1 "):
    pass
assert line.startswith(b"I1 OK"), line
_, data = connection.fetch(count, "(BODY[HEADER.FIELDS (SUBJECT)])")
print(data[0][1].decode().strip(), flush=True)
connection.logout()
