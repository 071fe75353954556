"""Hands a message to an MTA in chunks, over TLS, with smtplib, all of it in one write: HOST SENDER RECIPIENT; the message on
standard input. Prints the replies to the chunks, one a line."""

import smtplib
import ssl
import sys

host, sender, recipient = sys.argv[1:]
message = sys.stdin.buffer.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
half = len(message) // 2
with smtplib.SMTP(host, 25, timeout=60) as client:
    client.ehlo("mx.stranger.test")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client.starttls(context=context)
    client.ehlo("mx.stranger.test")
    assert client.has_extn("chunking"), client.esmtp_features
    assert client.mail(sender)[0] == 250
    assert client.rcpt(recipient)[0] == 250
    client.send(b"BDAT %d\r\n%bBDAT 0\r\nBDAT %d LAST\r\n%bNOOP\r\n" % (half, message[:half], len(message) - half, message[half:]))
    for _ in range(4):
        code, text = client.getreply()
        print(code, text.decode())
