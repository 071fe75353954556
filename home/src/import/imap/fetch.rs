//! One mailbox of a server: what is in it, and its messages brought in.
//!
//! In: a connection that is logged in. Out: a [`Survey`] (which messages are new, and how many octets they have), then
//! the messages in batches: fetched, stored, noted as done, in this order. The mailbox is opened by EXAMINE and bodies by
//! BODY.PEEK, so the server sees nothing as read. RFC 9051 §6.3.3, §6.4.5; X-GM-LABELS as Google documents it.

use std::sync::Arc;

use postern_imap::types::NameEncoding;
use postern_store::account::{Flags, Keyword, SystemFlags, Uid};
use postern_store::{Error, Staging, Store, Timestamp};

use super::Progress;
use super::connection::{Connection, Response, Trouble};
use super::done::Done;
use super::mailboxes::{Mailbox, wire_argument};
use super::value::{Value, values};
use crate::import::intake::{ARCHIVE, Intake, Message};
use crate::import::labels;

/// Messages, and octets of messages, that are fetched and stored at once.
const BATCH: usize = 64;
const BATCH_OCTETS: u64 = 8 * 1024 * 1024;

/// Keywords of one message; further ones are passed over. People have a few.
const KEYWORDS_MAX: usize = 32;

/// What of a mailbox is still to come.
#[derive(Debug, Default, Clone)]
pub(super) struct Survey {
    pub(super) uid_validity: u32,
    /// UIDs in ascending order, with their octets.
    pub(super) new: Vec<(Uid, u32)>,
    /// Messages that were brought in before.
    pub(super) behind: u64,
}

impl Survey {
    pub(super) fn octets(&self) -> u64 {
        self.new.iter().map(|(_, octets)| u64::from(*octets)).sum()
    }
}

/// A message as the server sent it.
struct Fetched {
    uid: Uid,
    message: Message,
    flags: Flags,
    internal_date: Timestamp,
    labels: Option<Vec<String>>,
}

/// Opens the mailbox and asks what is in it.
pub(super) fn survey(connection: &mut Connection, mailbox: &Mailbox, done: &Done) -> Result<Survey, Trouble> {
    let (uid_validity, messages) = examine(connection, mailbox)?;
    let mut survey = Survey { uid_validity, ..Survey::default() };
    if messages == 0 {
        return Ok(survey);
    }
    let known = done.of(&mailbox.wire, uid_validity);
    connection.command("UID FETCH 1:* (RFC822.SIZE)", |response| {
        if let Some(items) = fetch_items(&response.line)
            && let Some(uid) = item(&items, "UID").and_then(Value::number).and_then(Uid::new)
        {
            let octets = item(&items, "RFC822.SIZE").and_then(Value::number).unwrap_or(0);
            match known.contains(uid) {
                true => survey.behind += 1,
                false => survey.new.push((uid, octets)),
            }
        }
        Ok(())
    })?;
    survey.new.sort_unstable();
    survey.new.dedup();
    Ok(survey)
}

/// UIDVALIDITY and the number of messages.
fn examine(connection: &mut Connection, mailbox: &Mailbox) -> Result<(u32, u32), Trouble> {
    let (mut uid_validity, mut messages) = (0, 0);
    connection.command(&format!("EXAMINE {}", wire_argument(mailbox)?), |response| {
        let line = String::from_utf8_lossy(&response.line);
        if let Some((_, rest)) = line.split_once("[UIDVALIDITY ") {
            uid_validity = rest.split(']').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        } else if let Some(number) = line.strip_prefix("* ").and_then(|line| line.strip_suffix(" EXISTS")) {
            messages = number.parse().unwrap_or(0);
        }
        Ok(())
    })?;
    Ok((uid_validity, messages))
}

/// What a mailbox is moved with.
pub(super) struct Mover<'a> {
    pub(super) store: &'a Store,
    pub(super) done: &'a Done,
    pub(super) progress: &'a Progress,
    pub(super) is_gmail: bool,
}

impl Mover<'_> {
    /// Brings in what the survey found new, and takes it out of the survey batch by batch: after [`Trouble::Lost`] the same
    /// call on another connection goes on.
    pub(super) fn bring(
        &self,
        connection: &mut Connection,
        mailbox: &Mailbox,
        survey: &mut Survey,
        intake: &mut Intake<'_>,
    ) -> Result<(), Trouble> {
        if survey.new.is_empty() {
            return Ok(());
        }
        let (uid_validity, _) = examine(connection, mailbox)?;
        if uid_validity != survey.uid_validity {
            let why = "the server has numbered its messages anew meanwhile; run the command again";
            return Err(Trouble::Refused(why.to_owned()));
        }
        while !survey.new.is_empty() {
            self.progress.go_on()?;
            let batch = batch(&survey.new);
            let uids: Vec<Uid> = batch.iter().map(|(uid, _)| *uid).collect();
            let octets = batch.iter().map(|(_, octets)| u64::from(*octets)).sum();
            match self.batch(connection, mailbox, uid_validity, &uids, intake) {
                // One message that the server cannot read does not take the others with it.
                Err(Trouble::Refused(_)) if uids.len() > 1 => {
                    for uid in &uids {
                        self.one(connection, mailbox, uid_validity, *uid, intake)?;
                    }
                }
                Err(Trouble::Refused(why)) => lose(intake, mailbox, &uids, &why),
                outcome => outcome?,
            }
            self.progress.behind(uids.len() as u64, octets);
            survey.new.drain(..uids.len());
        }
        Ok(())
    }

    fn one(
        &self,
        connection: &mut Connection,
        mailbox: &Mailbox,
        uid_validity: u32,
        uid: Uid,
        intake: &mut Intake<'_>,
    ) -> Result<(), Trouble> {
        match self.batch(connection, mailbox, uid_validity, &[uid], intake) {
            Err(Trouble::Refused(why)) => {
                lose(intake, mailbox, &[uid], &why);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Fetches, stores and notes some messages.
    fn batch(
        &self,
        connection: &mut Connection,
        mailbox: &Mailbox,
        uid_validity: u32,
        uids: &[Uid],
        intake: &mut Intake<'_>,
    ) -> Result<(), Trouble> {
        let labels = if self.is_gmail { " X-GM-LABELS" } else { "" };
        let command = format!("UID FETCH {} (UID FLAGS INTERNALDATE{labels} BODY.PEEK[])", set(uids));
        let mut fetched = Vec::new();
        connection.fetch(&command, Some(self.store), |response| {
            fetched.extend(read_message(response, self.store)?.filter(|fetched| uids.contains(&fetched.uid)));
            Ok(())
        })?;
        // A server may tell of a message twice, when a flag changes meanwhile; the second time without its body.
        let done: Vec<Uid> = fetched.iter().map(|fetched| fetched.uid).collect();
        for fetched in fetched {
            take(intake, mailbox, fetched)?;
        }
        intake.commit()?;
        Ok(self.done.add(&mailbox.wire, uid_validity, &done).map_err(Error::from)?)
    }
}

fn take(intake: &mut Intake<'_>, mailbox: &Mailbox, fetched: Fetched) -> Result<(), Error> {
    let Fetched { message, mut flags, internal_date, labels, .. } = fetched;
    let is_archive = mailbox.place == ARCHIVE;
    match labels.filter(|_| is_archive).map(labels::sort) {
        Some(sorted) => {
            flags.system = flags.system | sorted.flags.system;
            flags.keywords.extend(sorted.flags.keywords);
            intake.take(&message, &flags, internal_date, &sorted.places)
        }
        // What is in Spam or Trash at Gmail is only there, whatever its labels say.
        None => intake.take(&message, &flags, internal_date, std::slice::from_ref(&mailbox.place)),
    }
}

fn lose(intake: &mut Intake<'_>, mailbox: &Mailbox, uids: &[Uid], why: &str) {
    intake.lose(format!("{}, message(s) with UID {}: {why}", mailbox.name, set(uids)));
}

/// The first of these messages: at least one, at most a batch.
fn batch(new: &[(Uid, u32)]) -> &[(Uid, u32)] {
    let mut octets = 0;
    let fits = |(_, size): &&(Uid, u32)| {
        octets += u64::from(*size);
        octets <= BATCH_OCTETS
    };
    let length = new.iter().take(BATCH).take_while(fits).count().max(1);
    new.get(..length).unwrap_or(new)
}

/// `1:3,7`
fn set(uids: &[Uid]) -> String {
    let uids: postern_store::account::UidSet = uids.iter().copied().collect();
    let ranges = uids.ranges().map(|range| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}:{}", range.start(), range.end()),
    });
    ranges.collect::<Vec<_>>().join(",")
}

/// A message with its body; nothing where the response is another one, or has no body.
fn read_message(response: Response, store: &Store) -> Result<Option<Fetched>, Trouble> {
    let Response { line, body } = response;
    let Some(items) = fetch_items(&line) else { return Ok(None) };
    let Some(uid) = item(&items, "UID").and_then(Value::number).and_then(Uid::new) else { return Ok(None) };
    let staging = match (body, item(&items, "BODY[]")) {
        (Some(staging), _) => staging,
        // A small message may come as a quoted string.
        (None, Some(Value::Text(octets))) => staged(store, octets)?,
        (None, _) => return Ok(None),
    };
    let internal_date = item(&items, "INTERNALDATE").and_then(|value| date(&value.text()));
    let labels = item(&items, "X-GM-LABELS").map(|value| value.items().iter().map(label).collect());
    Ok(Some(Fetched {
        uid,
        message: Message::Staged(Arc::new(staging.finish()?)),
        flags: flags(item(&items, "FLAGS").map(Value::items).unwrap_or_default()),
        internal_date: internal_date.unwrap_or_else(Timestamp::now),
        labels,
    }))
}

fn staged(store: &Store, octets: &[u8]) -> Result<Staging, Error> {
    let mut staging = store.stage();
    staging.write(octets)?;
    Ok(staging)
}

/// Gmail writes labels as it writes names of mailboxes.
fn label(value: &Value) -> String {
    NameEncoding::ModifiedUtf7.decode(value.octets()).unwrap_or_else(|| value.text())
}

/// The items of `* 7 FETCH (…)`.
fn fetch_items(line: &[u8]) -> Option<Vec<Value>> {
    let mut values = values(line.strip_prefix(b"* ")?)?.into_iter();
    let (_, command) = (values.next()?, values.next()?);
    match values.next() {
        Some(Value::List(items)) if command.is("FETCH") => Some(items),
        _ => None,
    }
}

fn item<'a>(items: &'a [Value], name: &str) -> Option<&'a Value> {
    items.chunks_exact(2).find_map(|pair| match pair {
        [found, value] if found.is(name) => Some(value),
        _ => None,
    })
}

fn flags(values: &[Value]) -> Flags {
    let mut flags = Flags::default();
    for name in values.iter().map(Value::text) {
        match SystemFlags::parse(&name) {
            Some(flag) => flags.system = flags.system | flag,
            // `\Recent` and the like are no keywords.
            None if flags.keywords.len() < KEYWORDS_MAX => flags.keywords.extend(Keyword::new(&name).ok()),
            None => {}
        }
    }
    flags
}

/// `17-Jul-1996 02:44:25 -0700`
fn date(text: &str) -> Option<Timestamp> {
    Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_bounds_and_is_never_empty() {
        let of = |octets: &[u32]| {
            let new: Vec<_> = (1..).filter_map(Uid::new).zip(octets.iter().copied()).collect();
            batch(&new).len()
        };
        assert_eq!(of(&[10; 200]), BATCH);
        assert_eq!(of(&[u32::MAX, 1]), 1);
        assert_eq!(of(&[4 << 20, 4 << 20, 1]), 2);
        assert_eq!(set(&[1, 2, 3, 9].map(|uid| Uid::new(uid).expect("not 0"))), "1:3,9");
    }

    #[test]
    fn flags_and_dates_are_the_servers() {
        let items = fetch_items(
            b"* 3 FETCH (FLAGS (\\Seen \\Recent \\flagged $Work NonJunk) INTERNALDATE \" 1-Jan-2020 10:00:00 +0100\" UID 9)",
        )
        .expect("a FETCH");
        let found = flags(item(&items, "FLAGS").expect("there").items());
        assert_eq!(found.system, SystemFlags::SEEN | SystemFlags::FLAGGED);
        assert_eq!(found.keywords.iter().map(Keyword::as_str).collect::<Vec<_>>(), ["$Work", "NonJunk"]);
        let date = item(&items, "INTERNALDATE").and_then(|value| date(&value.text()));
        assert_eq!(date.map(Timestamp::as_second), Some(1_577_869_200));
        assert!(fetch_items(b"* 3 EXPUNGE").is_none() && fetch_items(b"* 3 FETCH (").is_none());
    }
}
