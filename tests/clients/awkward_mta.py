"""A mail server that makes it hard: awkward_mta.py DIRECTORY.

The file `mode` there says how, read at every connection and at every MAIL, since a connection may carry several messages:
  cut       the first connection is closed before the greeting, the next one after it, and so on through the dialogue; the last
            of them after the final dot, with the message in hand but not a word
  grey      a recipient is refused for now until two seconds have passed since the first attempt
  tarpit    every octet of a reply takes its time
The file `kept` gets a line for each message: `kept` where that was said, `taken` where the connection was cut before.
"""

import pathlib
import socket
import sys
import threading
import time

PLACES = ["connect", "greeting", "EHLO", "MAIL", "RCPT", "DATA", "content", "dot"]
directory = pathlib.Path(sys.argv[1])
connections = 0
first_attempt = None


class Cut(Exception):
    """The connection is closed here."""


class Dialogue:
    def __init__(self, connection, mode, cut_at):
        self.connection, self.mode, self.cut_at = connection, mode, cut_at
        self.lines = connection.makefile("rb")

    def at(self, place):
        if self.cut_at == place:
            raise Cut

    def reply(self, text):
        octets = text.encode() + b"\r\n"
        pieces = [bytes([octet]) for octet in octets] if self.mode == "tarpit" else [octets]
        for piece in pieces:
            self.connection.sendall(piece)
            time.sleep(0.03 if self.mode == "tarpit" else 0)

    def keep(self, word):
        with open(directory / "kept", "a", encoding="ascii") as kept:
            kept.write(f"{self.mode} {word}\n")

    def hold(self):
        self.at("connect")
        self.reply("220 mx.stranger.test ESMTP")
        self.at("greeting")
        for line in self.lines:
            verb = line[:4].upper().decode()
            if verb == "QUIT":
                return self.reply("221 2.0.0 bye")
            self.at(verb)
            if verb == "MAIL":
                self.mode = mode()
            if verb == "RCPT" and self.is_too_early():
                self.reply("451 4.7.1 greylisted, try again later")
            elif verb == "DATA":
                self.data()
            else:
                self.reply("250 2.0.0 ok")

    def data(self):
        self.reply("354 go on")
        for line in self.lines:
            self.at("content")
            if line == b".\r\n":
                if self.cut_at == "dot":
                    self.keep("taken")
                    raise Cut
                self.keep("kept")
                return self.reply("250 2.0.0 kept")
        raise Cut

    def is_too_early(self):
        global first_attempt
        if self.mode != "grey":
            return False
        first_attempt = first_attempt or time.monotonic()
        return time.monotonic() - first_attempt < 2


def mode():
    return (directory / "mode").read_text(encoding="ascii").strip()


def serve(connection):
    global connections
    cut_at = None
    if mode() == "cut":
        cut_at = PLACES[connections] if connections < len(PLACES) else None
        connections += 1
    try:
        Dialogue(connection, mode(), cut_at).hold()
    except (Cut, OSError):
        pass
    finally:
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()


listener = socket.create_server(("", 25), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
