"""Submits one message with smtplib: HOST PORT LOGIN PASSWORD SENDER RECIPIENT MAIL_OPTIONS RCPT_OPTIONS; the message on
standard input. Options are separated by spaces. Prints the server's extensions as JSON."""

import json
import smtplib
import ssl
import sys

host, port, login, password, sender, recipient, mail_options, rcpt_options = sys.argv[1:]
with smtplib.SMTP_SSL(host, int(port), context=ssl.create_default_context(), timeout=60) as client:
    client.ehlo("laptop")
    client.login(login, password)
    extensions = client.esmtp_features
    message = sys.stdin.buffer.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    refused = client.sendmail(sender, [recipient], message, mail_options.split(), rcpt_options.split())
    assert not refused, refused
print(json.dumps(extensions))
