"""Hands over a message as a mailing list does that seals what it found on arrival (ARC), with dkimpy.

Usage: arc_sealed.py SERVER RECIPIENT SUBJECT AUTHOR KEY-FILE
The seal is of lists.example, selector s. Prints the reply to the message.
"""

import smtplib
import sys

import dkim

server, recipient, subject, author, key = sys.argv[1:]
domain = author.split("@")[1].encode()
message = (f"Authentication-Results: lists.example; dmarc=pass header.from={domain.decode()}\r\n"
           f"From: {author}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\nWith the list's footer.\r\n").encode()
fields = dkim.arc_sign(message, b"s", b"lists.example", open(key, "rb").read(), b"lists.example")
with smtplib.SMTP(server, 25, "cafe.test", timeout=60) as smtp:
    smtp.ehlo()
    smtp.docmd("MAIL", "FROM:<x@cafe.test>")
    smtp.docmd("RCPT", f"TO:<{recipient}>")
    code, text = smtp.data(b"".join(fields) + message)
print(code, text.decode())
