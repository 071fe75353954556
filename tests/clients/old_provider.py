"""Fills a Maildir of the old provider: DIRECTORY, and how many messages in all. Dates, flags and keywords differ."""
import os, sys
directory, count = sys.argv[1], int(sys.argv[2])
# Their share of the messages, their keywords.
MAILBOXES = {"": 0.5, ".Sent Messages": 0.2, ".Gr&APwA3w-e.2026": 0.2, ".Bin": 0.05, ".quiet \\\\ &-": 0.05}
LETTERS = ["", "S", "RS", "FS", "DS", "Sa", "Sb", "FRSab"]
total = 0
for folder, share in MAILBOXES.items():
    path = os.path.join(directory, folder) if folder else directory
    for part in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(path, part))
    if folder:
        open(os.path.join(path, "maildirfolder"), "w").close()
    with open(os.path.join(path, "dovecot-keywords"), "w") as keywords:
        keywords.write("0 $Forwarded\n1 Work\n")
    for number in range(int(count * share)):
        total += 1
        # Every hundredth is large, every seventh has octets that are no text.
        body = b"line %d\r\n" % number * (20000 if number % 100 == 99 else 20)
        body += b"\xff\x00\xfe {5}\r\n" if number % 7 == 0 else b""
        content = b"From: sam@far.example\r\nTo: ana@far.example\r\nSubject: %d of %s\r\nMessage-ID: <%d.%s>\r\n\r\n" % (
            number, folder.encode(), total, b"x@far.example") + body
        name = os.path.join(path, "cur", "%d.M%dP1.far,S=%d:2,%s" % (1500000000 + number, total, len(content), LETTERS[number % len(LETTERS)]))
        with open(name, "wb") as file:
            file.write(content)
        os.utime(name, (1500000000 + number * 3600, 1500000000 + number * 3600))
print(total)
