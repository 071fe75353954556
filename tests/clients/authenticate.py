"""Authenticates a received message with software that is not Postern's: dkimpy, pyspf and authheaders.

In: a message on standard input, as Postfix stored it. The sender's address and HELO name are taken from the
Received field that Postfix wrote first, the reverse path from Return-Path.
Out: one line of JSON: {"ip", "helo", "mail_from", "spf", "dkim": [{"a", "d", "s", "result"}], "dmarc"}.
"""

import email
import json
import re
import sys

import authheaders
import dkim
import spf

message = sys.stdin.buffer.read()
fields = email.message_from_bytes(message)
# Postfix writes: from HELO (NAME [ADDRESS]) or from HELO (NAME [IPv6:ADDRESS])
received = re.match(r"from (\S+) \(\S+ \[(?:IPv6:)?([0-9a-f.:]+)\]\)", fields["Received"])
helo, ip = received.groups()
mail_from = fields["Return-Path"].strip("<>")

signatures = []
for index, _ in enumerate(fields.get_all("DKIM-Signature", [])):
    verifier = dkim.DKIM(message)
    try:
        result = "pass" if verifier.verify(idx=index) else "fail"
    except dkim.DKIMException as error:
        result = f"fail: {error}"
    tags = {tag: value.decode() for tag, value in (
        (name.decode(), verifier.signature_fields.get(name, b"")) for name in (b"a", b"d", b"s"))}
    signatures.append(tags | {"result": result})

spf_result = authheaders.check_spf(ip, mail_from, helo)
spf_verdict = spf_result.result
dkim_result = authheaders.check_dkim(message)
dmarc = authheaders.check_dmarc(message, spf_result, dkim_result)
print(json.dumps({
    "ip": ip, "helo": helo, "mail_from": mail_from,
    "spf": spf_verdict, "dkim": signatures, "dmarc": dmarc.result,
}))
