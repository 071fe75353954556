"""What a mail user does by POP3, with Python's poplib, and what must not be possible.

Arguments: server, user, password. The maildrop holds three messages, the second with lines of dots. Prints "done"; any surprise
is an exception.
"""

import poplib
import ssl
import socket
import sys

server, user, password = sys.argv[1:]
TLS = ssl.create_default_context()


def connect():
    return poplib.POP3_SSL(server, context=TLS, timeout=20)


def log_in():
    client = connect()
    client.user(user)
    client.pass_(password)
    return client


def refused(call, *arguments):
    try:
        call(*arguments)
    except poplib.error_proto as error:
        return error.args[0].decode()
    raise AssertionError(f"{call} was not refused")


def uidl(client):
    return [line.decode().split()[1] for line in client.uidl()[1]]


client = connect()
assert "wrong name or password" in refused(lambda: (client.user(user), client.pass_("a guess")))
capabilities = client.capa()
assert capabilities["SASL"] == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"] and "STLS" not in capabilities, capabilities
client.utf8()
client.user(user)
client.pass_(password)

# Sizes, contents and the beginning of messages.
count, octets = client.stat()
sizes = [int(line.split()[1]) for line in client.list()[1]]
assert count == 3 and octets == sum(sizes), (count, octets, sizes)
for number, size in enumerate(sizes, 1):
    _, lines, _ = client.retr(number)
    assert sum(len(line) + 2 for line in lines) == size, (number, size, lines)
_, lines, _ = client.retr(2)
assert lines[lines.index(b"") + 1:] == [b".", b"..", b". a line", b"the end"], lines
_, lines, _ = client.top(2, 1)
assert lines[lines.index(b"") + 1:] == [b"."], lines
before = uidl(client)
assert len(set(before)) == 3, before

# One session at a time; a session that is cut off changes nothing and leaves no lock behind.
assert "[IN-USE]" in refused(log_in)
client.dele(1)
client.sock.shutdown(socket.SHUT_RDWR)
for _ in range(50):
    try:
        client = log_in()
        break
    except poplib.error_proto as error:
        assert b"[IN-USE]" in error.args[0], error
assert uidl(client) == before
client.dele(1)
client.rset()
client.quit()

# What is marked goes at the end, and the others keep their names.
client = log_in()
client.dele(3)
assert "no such message" in refused(client.retr, 3)
client.quit()
client = log_in()
assert uidl(client) == before[:2]
client.retr(1)
client.quit()

# Port 110: nothing before TLS, and what is sent along with STLS is not taken for the user's.
client = poplib.POP3(server, timeout=20)
assert "STLS" in client.capa() and "SASL" not in client.capa()
assert "before STLS" in refused(client.user, user)
client.stls(context=TLS)
client.user(user)
client.pass_(password)
assert uidl(client) == before[:2]
client.quit()

with socket.create_connection((server, 110), 20) as clear:
    clear.sendall(b"STLS\r\nUSER mallory\r\nCAPA\r\n")
    answers = clear.makefile("rb")
    assert answers.readline().startswith(b"+OK") and answers.readline().startswith(b"+OK")
    with TLS.wrap_socket(clear, server_hostname=server) as private:
        private.sendall(b"PASS x\r\n")
        assert private.recv(100) == b"-ERR USER comes first\r\n"

print("done")
