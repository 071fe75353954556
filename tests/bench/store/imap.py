"""As much of an IMAP client as the measurements need: it reads as fast as it can, and counts instead of parsing."""

import re
import socket
import ssl

LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class Imap:
    def __init__(self, port, user, password, source="127.0.0.1"):
        context = ssl._create_unverified_context()
        self.socket = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 60, (source, 0)))
        self.socket.settimeout(600)
        self.file = self.socket.makefile("rb", 1 << 18)
        self.number = 0
        self.file.readline()
        self.do(f'LOGIN "{user}" "{password}"')

    def send(self, command):
        self.number += 1
        tag = b"a%d" % self.number
        self.socket.sendall(tag + b" " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return tag

    def wait(self, tag):
        """Untagged lines up to the command's end (literals are passed over), and the octets received."""
        lines, octets = [], 0
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError("the server hung up")
            octets += len(line)
            while found := LITERAL.search(line):
                octets += len(self.file.read(int(found[1])))
                line = self.file.readline()
                octets += len(line)
            if line.startswith(tag + b" "):
                if not line.startswith(tag + b" OK"):
                    raise RuntimeError(line.decode(errors="replace"))
                return lines, octets
            if line.startswith(b"* "):
                lines.append(line)

    def do(self, command):
        return self.wait(self.send(command))

    def append(self, messages, depth=20):
        """APPEND, pipelined, each command with its literal at once (LITERAL+)."""
        waiting, octets = [], 0
        for number, message in enumerate(messages):
            flags = rb"(\Seen)" if number % 3 else b"()"
            waiting.append(self.send(b"APPEND INBOX %s {%d+}\r\n" % (flags, len(message)) + message))
            octets += len(message)
            if len(waiting) >= depth:
                self.wait(waiting.pop(0))
        for tag in waiting:
            self.wait(tag)
        return octets

    def close(self):
        self.socket.close()
