"""What a mail program makes of the settings that home gives: each server as protocol, host, port and security.

Reads one document from standard input; its first argument says which: autoconfig, autodiscover or mobileconfig.
"""

import json
import plistlib
import sys
import xml.etree.ElementTree as tree

OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"


def autoconfig(document):
    provider = tree.fromstring(document).find("emailProvider")
    for server in provider.findall("incomingServer") + provider.findall("outgoingServer"):
        yield [server.get("type"), server.findtext("hostname"), server.findtext("port"), server.findtext("socketType")]


def autodiscover(document):
    for protocol in tree.fromstring(document).iter(OUTLOOK + "Protocol"):
        text = lambda name: protocol.findtext(OUTLOOK + name)
        yield [text("Type").lower(), text("Server"), text("Port"), text("Encryption")]


def mobileconfig(document):
    account = plistlib.loads(document)["PayloadContent"][0]
    for kind, side in (("imap", "Incoming"), ("smtp", "Outgoing")):
        get = lambda key: account[f"{side}MailServer{key}"]
        yield [kind, get("HostName"), str(get("PortNumber")), "SSL" if get("UseSSL") else "none"]


print(json.dumps(list(globals()[sys.argv[1]](sys.stdin.buffer.read()))))
