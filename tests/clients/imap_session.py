"""A day of a mail user, with Python's imaplib: every command that Postern's IMAP offers to such clients.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import email
import imaplib
import re
import sys
import time

server, user, password = sys.argv[1:]
BODY = b"".join(b"line %d of a body\r\n" % number for number in range(200))
MESSAGE = (b"From: Ana <ana@home.example>\r\nTo: sam@stranger.test\r\nSubject: draft =?utf-8?q?=C3=A4?=\r\n"
           b"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <draft-1@home.example>\r\n\r\n" + BODY)
MULTIPART = (b"From: ana@home.example\r\nTo: sam@stranger.test\r\nSubject: parts\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
             b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
             b"--x\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+c2Vjb25kPC9iPg==\r\n--x--\r\n")


def ok(answer):
    status, data = answer
    assert status == "OK", (status, data)
    return data


def expect(answer, wanted):
    data = ok(answer)
    assert data[0] == wanted, (data, wanted)


def connect():
    connection = imaplib.IMAP4_SSL(server, timeout=30)
    return connection


def refuses_wrong_password():
    try:
        connect().login(user, "wrong")
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    else:
        raise AssertionError("a wrong password is taken")


def flags_of(connection, uid):
    data = ok(connection.uid("FETCH", uid, "(FLAGS)"))
    return {flag.decode() for flag in imaplib.ParseFlags(data[0])}


def mailboxes(connection):
    for name in ("Work", "Work/2026", '"With space"'):
        ok(connection.create(name))
    listed = b"\n".join(ok(connection.list()))
    for name in (b"INBOX", b"Work/2026", b"With space"):
        assert name in listed, (name, listed)
    for use in (rb"\Sent", rb"\Drafts", rb"\Trash", rb"\Junk"):
        assert use in listed, (use, listed)
    ok(connection.subscribe("Work"))
    assert b"Work" in b"\n".join(ok(connection.lsub()))
    ok(connection.rename("Work", "Projects"))
    listed = b"\n".join(ok(connection.list()))
    assert b"Projects/2026" in listed and b"Work" not in listed, listed
    assert connection.create("INBOX")[0] == "NO"
    assert connection.delete("Nowhere")[0] == "NO"
    assert connection.select("Nowhere")[0] == "NO"
    ok(connection.namespace())


def append(connection):
    data = ok(connection.append("Drafts", r"(\Draft \Seen)", imaplib.Time2Internaldate(time.time()), MESSAGE))
    assert re.search(rb"APPENDUID \d+ \d+", data[0]), data
    ok(connection.append("Drafts", None, None, MULTIPART))
    status = ok(connection.status("Drafts", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))[0]
    assert b"MESSAGES 2" in status and b"UNSEEN 1" in status, status
    return re.search(rb"APPENDUID \d+ (\d+)", data[0]).group(1).decode()


def fetch(connection, uid):
    assert ok(connection.select("Drafts")) == [b"2"]
    whole = ok(connection.uid("FETCH", uid, "(BODY.PEEK[])"))[0][1]
    assert whole == MESSAGE, "the message is not the one appended"
    partial = ok(connection.uid("FETCH", uid, "(BODY.PEEK[TEXT]<5.10>)"))[0]
    assert b"<5>" in partial[0] and partial[1] == BODY[5:15], partial
    header = ok(connection.uid("FETCH", uid, "(BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)])"))[0][1]
    assert b"Subject: draft" in header and b"Date" not in header, header
    envelope = ok(connection.uid("FETCH", uid, "(ENVELOPE RFC822.SIZE INTERNALDATE UID)"))[0]
    assert b"<draft-1@home.example>" in envelope and str(len(MESSAGE)).encode() in envelope, envelope
    structure = ok(connection.fetch("2", "(BODYSTRUCTURE)"))[0].lower()
    assert b'"mixed"' in structure and b'"html"' in structure and b'"base64"' in structure, structure
    part = ok(connection.fetch("2", "(BODY.PEEK[2])"))[0][1]
    assert part.strip() == b"PGI+c2Vjb25kPC9iPg==", part
    mime = ok(connection.fetch("2", "(BODY.PEEK[2.MIME])"))[0][1]
    assert b"base64" in mime, mime
    assert r"\Seen" not in flags_of(connection, str(int(uid) + 1))
    ok(connection.fetch("2", "(BODY[1])"))
    assert r"\Seen" in flags_of(connection, str(int(uid) + 1))


def search(connection, uid):
    expect(connection.uid("SEARCH", "SUBJECT", '"parts"'), str(int(uid) + 1).encode())
    expect(connection.uid("SEARCH", "BODY", '"line 150"'), uid.encode())
    expect(connection.search(None, "ALL"), b"1 2")
    expect(connection.search(None, "NOT", "DRAFT"), b"2")
    expect(connection.search(None, "OR", "LARGER", "2000", "FROM", "nobody"), b"1")
    expect(connection.search(None, "SENTON", "22-Nov-2026"), b"1")
    connection.literal = "draft ä".encode()
    expect(connection.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT"), uid.encode())


def change(connection, uid):
    ok(connection.uid("STORE", uid, "+FLAGS", r"(\Flagged $Forwarded)"))
    assert {r"\Flagged", "$Forwarded"} <= flags_of(connection, uid)
    ok(connection.uid("STORE", uid, "-FLAGS.SILENT", r"(\Flagged)"))
    assert r"\Flagged" not in flags_of(connection, uid)
    copied = ok(connection.copy("1", "Projects"))[0]
    assert re.search(rb"COPYUID \d+ %s 1" % uid.encode(), copied), copied
    ok(connection.uid("MOVE", str(int(uid) + 1), "Trash"))
    ok(connection.uid("STORE", uid, "+FLAGS", r"(\Deleted)"))
    ok(connection.uid("EXPUNGE", uid))
    expect(connection.search(None, "ALL"), b"")
    ok(connection.close())
    assert ok(connection.select("Projects", readonly=True)) == [b"1"]
    assert connection.store("1", "+FLAGS", r"(\Seen)")[0] == "NO"
    assert email.message_from_bytes(ok(connection.fetch("1", "(RFC822)"))[0][1])["Message-ID"] == "<draft-1@home.example>"
    ok(connection.unselect())
    assert ok(connection.select("Trash")) == [b"1"]
    ok(connection.close())
    ok(connection.delete("Projects/2026"))
    ok(connection.unsubscribe("Work"))


def main():
    refuses_wrong_password()
    connection = connect()
    assert "AUTH=PLAIN" in connection.capabilities, connection.capabilities
    ok(connection.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode()))
    offered = ok(connection.capability())[0].decode().split()
    for capability in ("IMAP4rev1", "IDLE", "UIDPLUS", "MOVE", "NAMESPACE", "SPECIAL-USE", "ID", "ENABLE"):
        assert capability in offered, (capability, offered)
    ok(connection.xatom("ID", "NIL"))
    ok(connection.noop())
    mailboxes(connection)
    uid = append(connection)
    fetch(connection, uid)
    search(connection, uid)
    change(connection, uid)
    connection.logout()
    print("done")


main()
