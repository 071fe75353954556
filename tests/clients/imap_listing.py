"""Prints what an IMAP account holds as JSON: by use or name of the mailbox, each message's hash, date and flags."""
import hashlib, imaplib, json, re, sys
host, login, password = sys.argv[1:4]
imap = imaplib.IMAP4_SSL(host)
imap.login(login, password)
found = {}
for line in imap.list()[1]:
    attributes, separator, name = re.match(rb'\((.*?)\) "(.*?)" (.*)', line).groups()
    if b"\\noselect" in attributes.lower() or b"\\All" in attributes:
        continue
    use = re.search(rb"\\(Sent|Drafts|Junk|Trash|Archive)", attributes)
    shown = use.group(1) if use else name.strip(b'"').replace(separator, b"/")
    _, [messages] = imap.select(name.decode(), readonly=True)
    if not int(messages):
        continue
    listed = []
    _, answer = imap.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    for head, octets in (part for part in answer if isinstance(part, tuple)):
        # The items that come behind the body stand in no tuple; both servers here send them before it.
        flags = sorted(flag.decode().lower() for flag in imaplib.ParseFlags(head) if flag != b"\\Recent")
        listed.append([hashlib.sha256(octets).hexdigest(), imaplib.Internaldate2tuple(head)[:6], flags])
    assert len(listed) == int(messages), (name, messages, len(listed))
    found[shown.decode()] = sorted(listed)
print(json.dumps(found, sort_keys=True))
