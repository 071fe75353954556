//! TRANSACTION and UPDATE (RFC 1939 §5, §6): what the client does with the maildrop.
//!
//! In: STAT, LIST, UIDL, RETR, TOP, DELE, RSET, NOOP, QUIT. Out: lists and messages, a piece at a time; at QUIT one request
//! that removes what is marked. Refused: numbers of messages that are not there or are marked.

use super::{Asked, Effect, Phase, Retrieval, Session};
use crate::CHUNK;
use crate::command::{Command, MessageNumber};
use crate::maildrop::{Listed, Maildrop, NoSuchMessage};
use crate::multiline::{self, Writer};
use crate::reply;
use crate::request::{Answer, Request};

/// LIST or UIDL of all messages, under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    what: What,
    /// The position that comes next.
    next: usize,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Sizes,
    UniqueIds,
}

impl Session {
    pub(super) fn transaction(&mut self, command: Command) {
        match command {
            Command::Capa => self.capabilities(),
            Command::Noop => reply::ok("", &mut self.output),
            Command::Quit => self.update(),
            Command::List(None) => self.begin_listing(What::Sizes),
            Command::Uidl(None) => self.begin_listing(What::UniqueIds),
            Command::Retr(message) => self.retrieve(message, Writer::whole(), Effect::Retrieves),
            Command::Top { message, lines } => self.retrieve(message, Writer::top(lines), Effect::Looks),
            Command::Stat
            | Command::Rset
            | Command::List(Some(_))
            | Command::Uidl(Some(_))
            | Command::Dele(_) => self.answer_at_once(&command),
            Command::Auth { .. } | Command::Pass(_) | Command::Stls | Command::User(_) | Command::Utf8 => {
                self.error("you are logged in already");
            }
        }
    }

    fn answer_at_once(&mut self, command: &Command) {
        let Some(maildrop) = &mut self.maildrop else { return };
        match told(maildrop, command) {
            Ok(text) => reply::ok(&text, &mut self.output),
            Err(error) => reply::err(&error.to_string(), &mut self.output),
        }
    }

    fn begin_listing(&mut self, what: What) {
        reply::ok("", &mut self.output);
        self.phase = Phase::Listing(Listing { what, next: 0 });
    }

    /// Writes as many lines as there is room for.
    pub(super) fn list(&mut self, mut listing: Listing) {
        let Some(maildrop) = &self.maildrop else { return };
        for (number, message) in maildrop.listing(listing.next) {
            if self.output.len() >= CHUNK {
                self.phase = Phase::Listing(listing);
                return;
            }
            reply::line(&[&listing.what.of(maildrop, number, message)], &mut self.output);
            listing.next = number;
        }
        self.output.extend_from_slice(multiline::END);
    }

    fn retrieve(&mut self, message: MessageNumber, writer: Writer, effect: Effect) {
        let Some(maildrop) = &self.maildrop else { return };
        match maildrop.message(message) {
            Ok(Listed { uid, size }) => {
                self.go_on(Retrieval { message, uid, writer, position: 0, size, effect });
            }
            Err(error) => reply::err(&error.to_string(), &mut self.output),
        }
    }

    /// Asks for the next octets.
    fn go_on(&mut self, retrieval: Retrieval) {
        let Retrieval { uid, position: start, size, .. } = retrieval;
        let length = (size - start).min(CHUNK as u64);
        self.ask(Request::Content { uid, start, length }, Asked::Content(retrieval));
    }

    /// The first octets decide on the answer. Once it is `+OK`, octets that cannot be had can only end the connection: the
    /// client must not take half a message for a whole one.
    pub(super) fn content(&mut self, mut retrieval: Retrieval, answer: Answer) {
        let octets = match answer {
            Answer::Content(octets) if !octets.is_empty() || retrieval.size == 0 => octets,
            other if retrieval.position == 0 => return self.refused(other),
            _ => {
                self.closing = true;
                return;
            }
        };
        if retrieval.position == 0 {
            reply::ok(&format!("{} octets", retrieval.size), &mut self.output);
        }
        retrieval.writer.write(&octets, &mut self.output);
        retrieval.position += octets.len() as u64;
        if retrieval.position >= retrieval.size || retrieval.writer.is_full() {
            self.retrieved(retrieval);
        } else {
            self.go_on(retrieval);
        }
    }

    fn retrieved(&mut self, retrieval: Retrieval) {
        retrieval.writer.finish(&mut self.output);
        if let (Effect::Retrieves, Some(maildrop)) = (retrieval.effect, &mut self.maildrop) {
            // No command came between, so the message is there.
            let _ = maildrop.retrieve(retrieval.message);
        }
    }

    fn update(&mut self) {
        let Some(maildrop) = &self.maildrop else { return };
        let (deleted, retrieved) = (maildrop.deleted(), maildrop.retrieved());
        if deleted.is_empty() && retrieved.is_empty() {
            return self.goodbye();
        }
        self.ask(Request::Update { deleted, retrieved }, Asked::Update);
    }

    /// RFC 1939 §6: the lock goes and the connection ends, whatever came of it.
    pub(super) fn updated(&mut self, answer: Answer) {
        match answer {
            Answer::Updated => self.goodbye(),
            other => {
                self.refused(other);
                self.closing = true;
            }
        }
    }
}

fn told(maildrop: &mut Maildrop, command: &Command) -> Result<String, NoSuchMessage> {
    match command {
        Command::List(Some(number)) => {
            Ok(What::Sizes.of(maildrop, number.get() as usize, maildrop.message(*number)?))
        }
        Command::Uidl(Some(number)) => {
            Ok(What::UniqueIds.of(maildrop, number.get() as usize, maildrop.message(*number)?))
        }
        Command::Dele(number) => {
            maildrop.delete(*number)?;
            Ok("marked".to_owned())
        }
        Command::Rset => {
            maildrop.reset();
            Ok("no message is marked".to_owned())
        }
        _ => {
            let (count, octets) = maildrop.total();
            Ok(format!("{count} {octets}"))
        }
    }
}

impl What {
    fn of(self, maildrop: &Maildrop, number: usize, message: Listed) -> String {
        match self {
            What::Sizes => format!("{number} {}", message.size),
            What::UniqueIds => format!("{number} {}", maildrop.unique_id(message)),
        }
    }
}
