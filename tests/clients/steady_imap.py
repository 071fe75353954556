"""Stays logged in to IMAP from the first moment at which that is possible until a file appears.

Arguments: address, user, password, the file. Prints the certificate that it was shown, in PEM. Fails where the connection
is lost, or a command is not answered within two seconds.
"""

import imaplib
import os
import ssl
import sys
import time

address, user, password, end = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
deadline = time.monotonic() + 60
client = None
while client is None:
    try:
        client = imaplib.IMAP4_SSL(address, 993, ssl_context=context, timeout=2)
    except (OSError, imaplib.IMAP4.abort):
        if time.monotonic() > deadline:
            raise
        time.sleep(0.05)
client.login(user, password)
client.select("INBOX")
print(ssl.DER_cert_to_PEM_cert(client.sock.getpeercert(True)), flush=True)
while not os.path.exists(end):
    client.noop()
    time.sleep(0.05)
client.logout()
