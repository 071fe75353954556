"""SCRAM-SHA-256-PLUS at IMAP and POP3: GNU SASL bound to what OpenSSL exports, scramp bound to the server's certificate.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import base64
import ctypes
import socket
import ssl
import sys

from OpenSSL import SSL
from scramp import ScramClient

server, user, password = sys.argv[1:]
# gsasl.h
AUTHID, PASSWORD, CB_TLS_EXPORTER = 1, 3, 25
OK, NEEDS_MORE = 0, 1
PLUS = b"SCRAM-SHA-256-PLUS"
gsasl = ctypes.CDLL("libgsasl.so.18")
gsasl.gsasl_property_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
gsasl.gsasl_client_start.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p)]
gsasl.gsasl_step64.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)]
IMAP = (993, b"a CAPABILITY\r\n", b"a AUTHENTICATE %s\r\n", b"a OK", b"a NO")
POP3 = (995, b"CAPA\r\n", b"AUTH %s\r\n", b"+OK", b"-ERR")


class GnuSasl:
    def __init__(self, mechanism, exported):
        context, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        assert gsasl.gsasl_init(ctypes.byref(context)) == OK
        assert gsasl.gsasl_client_start(context, mechanism, ctypes.byref(self.session)) == OK
        for name, value in ((AUTHID, user.encode()), (PASSWORD, password.encode()), (CB_TLS_EXPORTER, exported)):
            gsasl.gsasl_property_set(self.session, name, value)

    def answer(self, challenge):
        out = ctypes.c_char_p()
        result = gsasl.gsasl_step64(self.session, challenge, ctypes.byref(out))
        assert result in (OK, NEEDS_MORE), result
        return out.value


class Scramp:
    def __init__(self, connection, mechanism):
        binding = ("tls-server-end-point", connection)
        self.client = ScramClient([mechanism.decode()], user, password, channel_binding=binding)
        self.steps = [self.first, self.final, self.verify]

    def answer(self, challenge):
        return base64.b64encode(self.steps.pop(0)(base64.b64decode(challenge).decode()).encode())

    def first(self, _):
        return self.client.get_client_first()

    def final(self, challenge):
        self.client.set_server_first(challenge)
        return self.client.get_client_final()

    def verify(self, challenge):
        self.client.set_server_final(challenge)
        return ""


def openssl(port):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    connection = SSL.Connection(context, socket.create_connection((server, port), timeout=20))
    connection.set_tlsext_host_name(server.encode())
    connection.set_connect_state()
    # A time limit would make the socket one that does not block, which pyOpenSSL leaves to its caller.
    connection.settimeout(None)
    connection.do_handshake()
    exported = connection.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
    return connection, base64.b64encode(exported)


def python_ssl(port, version):
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    return context.wrap_socket(socket.create_connection((server, port), timeout=20), server_hostname=server)


class Lines:
    def __init__(self, connection):
        self.connection, self.read = connection, b""

    def until(self, *starts):
        """The line that begins with one of these; an error where the server ends before it."""
        while True:
            line, end, rest = self.read.partition(b"\r\n")
            if end:
                self.read = rest
                if line.startswith(starts):
                    return line
            else:
                octets = self.connection.recv(4096)
                assert octets, (starts, self.read)
                self.read += octets


def authenticate(protocol, connection, client, mechanism):
    _, ask, command, yes, no = protocol
    lines = Lines(connection)
    lines.until(b"* OK", b"+OK")
    connection.sendall(ask)
    offered = lines.until(b"* CAPABILITY", b"SASL")
    assert PLUS in offered, offered
    lines.until(b"a OK", b".")
    connection.sendall(command % mechanism)
    while True:
        line = lines.until(b"+ ", yes, no)
        if not line.startswith(b"+ "):
            return line.startswith(yes)
        connection.sendall(client.answer(line[2:]) + b"\r\n")


def by_gnu_sasl(protocol, exported=None):
    connection, own = openssl(protocol[0])
    return authenticate(protocol, connection, GnuSasl(PLUS, exported or own), PLUS)


def by_scramp(protocol, version, mechanism):
    connection = python_ssl(protocol[0], version)
    return authenticate(protocol, connection, Scramp(connection, mechanism), mechanism)


for protocol in (IMAP, POP3):
    assert by_gnu_sasl(protocol), "tls-exporter"
    _, other = openssl(protocol[0])
    assert not by_gnu_sasl(protocol, exported=other), "the binding of another connection"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        assert by_scramp(protocol, version, PLUS), ("tls-server-end-point", version)
        # scramp could bind, and is made believe that it cannot: its "y" tells the server.
        assert not by_scramp(protocol, version, b"SCRAM-SHA-256"), ("a downgrade", version)
print("done")
