"""A day of a mail user, with IMAPClient, which reads every response into a structure and stumbles where there is none.

Arguments: server, user, password. Prints "done"; any surprise is an exception.
"""

import sys
from datetime import datetime, timezone

from imapclient import DRAFT, FLAGGED, SEEN, IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

server, user, password = sys.argv[1:]
ARRIVED = datetime(2026, 11, 22, 10, 0, 0, tzinfo=timezone.utc)


def message(subject, references="", date="22 Nov 2026 10:00:00"):
    thread = f"References: {references}\r\n" if references else ""
    return (f"From: Ana <ana@home.example>\r\nTo: =?utf-8?q?S=C3=A1m?= <sam@stranger.test>\r\nSubject: {subject}\r\n"
            f"Date: {date} +0000\r\nMessage-ID: <{subject.split()[-1]}@home.example>\r\n{thread}\r\n"
            f"All about {subject}.\r\n").encode()


def client():
    return IMAPClient(server, ssl=True, timeout=30, use_uid=True)


def refused(act):
    try:
        act()
    except IMAPClientError as error:
        return str(error)
    raise AssertionError(f"{act} is allowed")


def logs_in():
    try:
        client().login(user, "wrong")
    except LoginError as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    else:
        raise AssertionError("a wrong password is taken")
    ana = client()
    ana.login(user, password)
    assert {b"UIDPLUS", b"MOVE", b"IDLE", b"SORT", b"THREAD=REFERENCES", b"QUOTA"} <= set(ana.capabilities())
    assert ana.id_({"name": "IMAPClient"})[0], "the server says who it is"
    personal = ana.namespace().personal
    assert personal[0][0] == "" and personal[0][1] == "/", personal
    return ana


def folders(ana):
    ana.create_folder("Räume & Pläne/2026")
    ana.subscribe_folder("Räume & Pläne/2026")
    listed = {name: flags for flags, _, name in ana.list_folders()}
    assert "Räume & Pläne/2026" in listed, listed
    assert ana.find_special_folder(b"\\Sent") and ana.find_special_folder(b"\\Trash")
    assert "Räume & Pläne/2026" in [name for _, _, name in ana.list_sub_folders()]
    ana.rename_folder("Räume & Pläne", "Reisen")
    assert ana.folder_exists("Reisen/2026") and not ana.folder_exists("Räume & Pläne/2026")
    refused(lambda: ana.create_folder("INBOX"))
    refused(lambda: ana.select_folder("Nowhere"))


def appends_and_fetches(ana):
    subjects = [("plan one", "", "22 Nov 2026 10:00:00"), ("Re: plan two", "<one@home.example>", "21 Nov 2026 10:00:00"),
                ("another three", "", "20 Nov 2026 10:00:00")]
    for subject, references, date in subjects:
        ana.append("Reisen/2026", message(subject, references, date), flags=[SEEN, "$Label1"], msg_time=ARRIVED)
    before = ana.folder_status("Reisen/2026", ["MESSAGES", "UNSEEN", "UIDNEXT"])
    assert (before[b"MESSAGES"], before[b"UNSEEN"]) == (3, 0), before
    assert ana.select_folder("Reisen/2026")[b"EXISTS"] == 3
    uids = ana.search("ALL")
    fetched = ana.fetch(uids, ["BODY.PEEK[]", "FLAGS", "ENVELOPE", "INTERNALDATE", "RFC822.SIZE", "BODYSTRUCTURE"])
    for uid, (subject, references, date) in zip(uids, subjects):
        one = fetched[uid]
        assert one[b"BODY[]"] == message(subject, references, date) and one[b"RFC822.SIZE"] == len(one[b"BODY[]"])
        assert SEEN in one[b"FLAGS"] and b"$Label1" in one[b"FLAGS"], one[b"FLAGS"]
        envelope = one[b"ENVELOPE"]
        assert envelope.subject == subject.encode() and envelope.to[0].host == b"stranger.test", envelope
        assert one[b"INTERNALDATE"].astimezone(timezone.utc) == ARRIVED, one[b"INTERNALDATE"]
        assert one[b"BODYSTRUCTURE"][0].lower() == b"text", one[b"BODYSTRUCTURE"]
    return uids


def searches(ana, uids):
    one, two, three = uids
    assert ana.search(["SUBJECT", "plan"]) == [one, two]
    assert ana.search(["NOT", ["TEXT", "plan"]]) == [three]
    assert ana.search(["OR", ["SENTON", datetime(2026, 11, 20)], ["HEADER", "References", "one@"]]) == [two, three]
    assert ana.search(["TO", "Sám"], "UTF-8") == [one, two, three]
    assert ana.sort(["DATE"]) == [three, two, one]
    assert ana.sort(["REVERSE SUBJECT"]) == [two, one, three] or ana.sort("REVERSE SUBJECT") == [one, two, three]
    threads = sorted(ana.thread(), key=len)
    assert threads == [(three,), (one, two)] or threads == [(three,), (one, (two,))], threads


def changes(ana, uids):
    one, two, three = uids
    assert FLAGGED in ana.add_flags([one], [FLAGGED])[one]
    assert SEEN not in ana.remove_flags([one], [SEEN])[one]
    flags = ana.set_flags([two], [DRAFT])[two]
    assert set(flags) - {b"\\Recent"} == {DRAFT}, flags
    assert ana.search("UNSEEN") == [one, two]
    assert b"COPYUID" in repr(ana.copy([one], "Archive")).encode() or ana.folder_status("Archive")[b"MESSAGES"] == 1
    ana.move([three], "Trash")
    ana.delete_messages([two])
    ana.uid_expunge([two])
    assert ana.search("ALL") == [one]
    assert ana.folder_status("Trash", "MESSAGES")[b"MESSAGES"] == 1
    ana.unselect_folder()
    ana.select_folder("Archive", readonly=True)
    kept = ana.fetch(ana.search("ALL"), ["FLAGS", "BODY[TEXT]"])
    assert [FLAGGED in mail[b"FLAGS"] for mail in kept.values()] == [True], kept
    refused(lambda: ana.add_flags(ana.search("ALL"), [SEEN]))
    assert ana.get_quota_root("INBOX")[0].mailbox == "INBOX"


def waits(ana):
    """IDLE: what another connection puts there, flags and takes away is told while this one waits."""
    other = client()
    other.login(user, password)
    ana.select_folder("Drafts")
    other.select_folder("Drafts")
    ana.idle()
    other.append("Drafts", message("pushed four"))
    told = until(ana, b"EXISTS")
    assert (1, b"EXISTS") in told, told
    uid = other.search("ALL")
    other.add_flags(uid, [FLAGGED])
    assert any(FLAGGED in response[2][1] for response in until(ana, b"FETCH") if response[1] == b"FETCH")
    other.delete_messages(uid)
    other.expunge()
    assert (1, b"EXPUNGE") in until(ana, b"EXPUNGE")
    ana.idle_done()
    assert ana.search("ALL") == []
    other.logout()


def until(ana, kind):
    """What is told up to this kind of response; a read that ends without any word is a failure."""
    told = []
    while not any(response[1] == kind for response in told):
        news = ana.idle_check(timeout=20)
        assert news, (kind, told)
        told += news
    return told


def main():
    ana = logs_in()
    folders(ana)
    uids = appends_and_fetches(ana)
    searches(ana, uids)
    changes(ana, uids)
    waits(ana)
    ana.logout()
    print("done")


main()
