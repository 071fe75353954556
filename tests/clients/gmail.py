"""A server that speaks IMAP as Gmail does: every message once in All Mail, Spam or Bin, with labels; XOAUTH2 only.

It counts the bodies that it sends, and breaks the connection off after each hundred."""
import base64, re, socketserver, ssl, sys
certificate, key, port, login, token = sys.argv[1:6]
LABELS = [b'"\\\\Inbox"', b'"\\\\Inbox" "\\\\Starred" Work', b"", b'"\\\\Sent" "\\\\Important"', b'"Gr&APwA3w-e/2026" Work', b'{5}\r\nA "b"']
def message(mailbox, number):
    return b"Subject: %s %d\r\nMessage-ID: <%d.%s>\r\n\r\n%s" % (mailbox, number, number, mailbox, b"text\r\n" * (number % 50))
def all_of(mailbox, count):
    return {number * 2: message(mailbox, number) for number in range(1, count + 1)}
MAILBOXES = {b"[Gmail]/All Mail": (b"\\All", all_of(b"all", 300)), b"[Gmail]/Spam": (b"\\Junk", all_of(b"spam", 6)),
    b"[Gmail]/Bin": (b"\\Trash", all_of(b"bin", 6)), b"INBOX": (b"", all_of(b"never fetched", 1)), b"Work": (b"", all_of(b"never fetched", 1))}
sent = 0
class Gmail(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line + b"\r\n")
    def handle(self):
        global sent
        selected = {}
        self.say(b"* OK Gimap ready")
        while line := self.rfile.readline():
            tag, _, command = line.strip().partition(b" ")
            word = command.split()[0].upper()
            if word == b"CAPABILITY":
                self.say(b"* CAPABILITY IMAP4rev1 X-GM-EXT-1 SPECIAL-USE NAMESPACE SASL-IR AUTH=XOAUTH2 AUTH=PLAIN")
            elif word == b"AUTHENTICATE":
                wanted = b"user=%s\1auth=Bearer %s\1\1" % (login.encode(), token.encode())
                if base64.b64decode(command.split()[2]) != wanted:
                    self.say(b"+ " + base64.b64encode(b'{"status":"400"}'))
                    assert self.rfile.readline() == b"\r\n"
                    self.say(tag + b" NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)")
                    continue
            elif word == b"NAMESPACE":
                self.say(b'* NAMESPACE (("" "/")) NIL NIL')
            elif word == b"LIST":
                for name, (attribute, _) in MAILBOXES.items():
                    self.say(b'* LIST (\\HasNoChildren %s) "/" "%s"' % (attribute, name))
            elif word == b"EXAMINE":
                selected = MAILBOXES[command.split(b'"')[1]][1]
                self.say(b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] UIDs valid." % len(selected))
            elif word == b"UID" and b"BODY.PEEK[]" in command:
                wanted = [part.split(b":") for part in command.split()[2].split(b",")]
                for at, (uid, octets) in enumerate(selected.items()):
                    if not any(int(part[0]) <= uid <= int(part[-1]) for part in wanted):
                        continue
                    labels = LABELS[uid // 2 % len(LABELS)]
                    flags = b"\\Seen" if uid % 4 else b""
                    self.say(b"* %d FETCH (X-GM-LABELS (%s) UID %d INTERNALDATE \"17-Jul-2020 02:44:%02d -0700\" BODY[] {%d}\r\n%s FLAGS (%s))"
                        % (at + 1, labels, uid, uid % 60, len(octets), octets, flags))
                    sent += 1
                    if sent % 100 == 0:
                        self.say(b"* BYE Account exceeded bandwidth limits. (Failure)")
                        return
            elif word == b"UID":
                for at, (uid, octets) in enumerate(selected.items()):
                    self.say(b"* %d FETCH (UID %d RFC822.SIZE %d)" % (at + 1, uid, len(octets)))
            else:
                self.say(tag + b" BAD Unknown command")
                continue
            self.say(tag + b" OK Success")
class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    def get_request(self):
        connection, peer = super().get_request()
        return context.wrap_socket(connection, server_side=True), peer
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = Threads(("0.0.0.0", int(port)), Gmail)
print("ready", flush=True)
server.serve_forever()
