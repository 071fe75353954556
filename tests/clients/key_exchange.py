"""Prints the group of a TLS handshake by OpenSSL's own choice of groups, for each port that is named.

Arguments: address, server name, ports; a port with `smtp:` before it begins with STARTTLS.
"""

import socket
import sys

from OpenSSL import SSL


def answer(stream, code):
    """Reads a reply of SMTP, of one line or several."""
    while True:
        line = stream.readline().decode()
        if not line.startswith(code):
            sys.exit(f"unexpected: {line!r}")
        if line[3:4] != "-":
            return


def starttls(connection):
    stream = connection.makefile("rb")
    answer(stream, "220")
    connection.sendall(b"EHLO cafe.test\r\n")
    answer(stream, "250")
    connection.sendall(b"STARTTLS\r\n")
    answer(stream, "220")


address, name, *ports = sys.argv[1:]
for port in ports:
    connection = socket.create_connection((address, int(port.removeprefix("smtp:"))), timeout=10)
    if port.startswith("smtp:"):
        starttls(connection)
    connection.settimeout(None)
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), connection)
    client.set_tlsext_host_name(name.encode())
    client.set_connect_state()
    client.do_handshake()
    print(port, client.get_protocol_version_name(), client.get_group_name())
    client.close()
