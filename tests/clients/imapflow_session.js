// A day of a mail user, with ImapFlow: it enables CONDSTORE, compresses, and asks for what the server announces.
//
// Arguments: server, user, password. Prints "done"; any surprise is an exception.

'use strict';
const assert = require('node:assert/strict');
const { once } = require('node:events');
const { ImapFlow } = require('imapflow');

const [host, user, password] = process.argv.slice(-3);
const LIMIT = 20_000;

const message = (subject, text) =>
    Buffer.from(
        `From: Ana <ana@home.example>\r\nTo: sam@stranger.test\r\nSubject: ${subject}\r\n` +
            `Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <${subject}@home.example>\r\nMIME-Version: 1.0\r\n` +
            `Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n` +
            `Content-Transfer-Encoding: 8bit\r\n\r\n${text}\r\n--x\r\nContent-Type: application/octet-stream\r\n` +
            `Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\nAAECAw==\r\n--x--\r\n`
    );

async function connect(pass = password) {
    const client = new ImapFlow({ host, port: 993, secure: true, auth: { user, pass }, logger: false });
    await client.connect();
    return client;
}

// Waits for an event, or fails when it does not come.
const event = (client, name) => once(client, name, { signal: AbortSignal.timeout(LIMIT) }).then(([told]) => told);

async function uids(client, query) {
    return client.search(query, { uid: true });
}

async function mailboxes(client) {
    await client.mailboxCreate(['Räume', '2026']);
    await client.mailboxSubscribe('Räume/2026');
    const listed = await client.list({ statusQuery: { messages: true, unseen: true, highestModseq: true } });
    const of = path => listed.find(mailbox => mailbox.path === path);
    assert.equal(of('Räume/2026').subscribed, true);
    assert.equal(of('Räume/2026').status.messages, 0);
    assert.deepEqual(
        listed.map(mailbox => mailbox.specialUse).filter(Boolean).sort(),
        ['\\Archive', '\\Drafts', '\\Inbox', '\\Junk', '\\Sent', '\\Trash']
    );
    await client.mailboxRename('Räume/2026', 'Ferien');
    assert.equal((await client.list()).some(mailbox => mailbox.path === 'Ferien'), true);
}

async function messages(client) {
    const first = await client.append('Ferien', message('first', 'Grüße aus Köln'), ['\\Seen', '$Work'], new Date(1_700_000_000_000));
    const second = await client.append('Ferien', message('second', 'nothing special'));
    assert.equal(second.uid, first.uid + 1);
    const lock = await client.getMailboxLock('Ferien');
    try {
        assert.equal(client.mailbox.exists, 2);
        assert.ok(client.mailbox.highestModseq > 0n);
        const one = await client.fetchOne(
            `${first.uid}`,
            { source: true, flags: true, envelope: true, internalDate: true, size: true, bodyStructure: true, threadId: true, headers: ['subject'] },
            { uid: true }
        );
        assert.deepEqual(one.source, message('first', 'Grüße aus Köln'));
        assert.deepEqual([...one.flags].sort(), ['$Work', '\\Seen']);
        assert.equal(one.envelope.subject, 'first');
        assert.equal(one.internalDate.getTime(), 1_700_000_000_000);
        assert.equal(one.size, one.source.length);
        assert.equal(one.bodyStructure.childNodes[1].dispositionParameters.filename, 'a.bin');
        assert.ok(one.emailId && one.threadId, 'OBJECTID');
        assert.equal(one.headers.toString().trim(), 'Subject: first');
        const { content } = await client.download(`${first.uid}`, '2', { uid: true });
        const octets = [];
        for await (const chunk of content) octets.push(chunk);
        assert.deepEqual(Buffer.concat(octets), Buffer.from([0, 1, 2, 3]));

        assert.deepEqual(await uids(client, { body: 'Köln' }), [first.uid]);
        assert.deepEqual(await uids(client, { seen: false }), [second.uid]);
        assert.deepEqual(await uids(client, { or: [{ subject: 'first' }, { header: { 'message-id': 'second' } }] }), [first.uid, second.uid]);
        assert.deepEqual(await uids(client, { not: { keyword: '$Work' } }), [second.uid]);
        assert.deepEqual(await uids(client, { subject: 'third' }), []);

        const before = client.mailbox.highestModseq;
        assert.equal(await client.messageFlagsAdd(`${second.uid}`, ['\\Flagged'], { uid: true }), true);
        const changed = [];
        for await (const mail of client.fetch('1:*', { flags: true }, { changedSince: before, uid: true })) changed.push(mail.uid);
        assert.deepEqual(changed, [second.uid]);
        const copied = await client.messageCopy('1:*', 'Archive');
        assert.deepEqual([...copied.uidMap.keys()], [first.uid, second.uid]);
        const moved = await client.messageMove(`${first.uid}`, 'Trash', { uid: true });
        assert.equal(moved.uidMap.size, 1);
        assert.equal(await client.messageDelete(`${second.uid}`, { uid: true }), true);
        assert.deepEqual(await uids(client, { all: true }), []);
    } finally {
        lock.release();
    }
    assert.equal((await client.status('Trash', { messages: true })).messages, 1);
    assert.equal((await client.status('Archive', { unseen: true })).unseen, 1);
}

// ImapFlow goes into IDLE by itself; the other connection's changes come as events.
async function push(client) {
    const other = await connect();
    await client.mailboxOpen('Drafts');
    await other.mailboxOpen('Drafts');
    client.idle().catch(() => {});
    const exists = event(client, 'exists');
    const { uid } = await other.append('Drafts', message('pushed', 'now'));
    assert.equal((await exists).count, 1);
    const flags = event(client, 'flags');
    await other.messageFlagsAdd(`${uid}`, ['\\Flagged'], { uid: true });
    assert.ok((await flags).flags.has('\\Flagged'));
    const expunged = event(client, 'expunge');
    await other.messageDelete(`${uid}`, { uid: true });
    assert.equal((await expunged).path, 'Drafts');
    await other.logout();
}

async function main() {
    await assert.rejects(connect('wrong'), error => error.authenticationFailed === true);
    const client = await connect();
    assert.ok(client.enabled.has('CONDSTORE'), 'ImapFlow enables CONDSTORE');
    await mailboxes(client);
    await messages(client);
    assert.ok((await client.getQuota('INBOX')).path);
    await push(client);
    await client.logout();
    console.log('done');
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
