//! What a session tells the journal: a story for each transaction.
//!
//! In: the events of the session. Out: lines of the journal, under an id that also stands in the log, in our `Received` field and
//! in the queue.

use std::net::IpAddr;

use postern_message::{header, mailbox_list};
use postern_smtp::server::{ForwardPath, Refusal, ReversePath};
use postern_store::journal::{Event, Journal, Service, StoryId};

use super::session::SmtpSession;

/// A Message-ID of more octets is cut: no line of a message may be longer (RFC 5322 §2.1.1).
const MESSAGE_ID_MAX: usize = 998;
/// Authors that are named; the rest is there, if at all, to fill the journal.
const AUTHORS_MAX: usize = 20;

/// One session's way to the journal.
#[derive(Debug)]
pub struct Teller {
    journal: Journal,
    session: String,
    transactions: u32,
    story: StoryId,
}

impl Teller {
    /// Begins with the session's own story; each transaction then has one.
    pub fn new(journal: Journal, session: &str) -> Teller {
        let story = StoryId::of_session(session);
        Teller { journal, session: session.to_owned(), transactions: 0, story }
    }

    /// Begins the story of a transaction.
    pub fn begin(&mut self, event: Event) {
        self.transactions = self.transactions.saturating_add(1);
        self.story = StoryId::of_transaction(&self.session, self.transactions);
        self.tell(event);
    }

    /// Tells of a client that was sent away because it did not wait for the greeting.
    pub fn early_talker(&self, service: Service, client: IpAddr) {
        let (helo, reverse_path) = (String::new(), String::new());
        self.tell(Event::Began { service, client, helo, tls: None, user: None, reverse_path });
        self.refuse("greet_pause", None, &Refusal::EarlyTalker);
    }

    /// Goes on with it.
    pub fn tell(&self, event: Event) {
        self.journal.tell(&self.story, event);
    }

    /// Tells that a check refused the client, one recipient or the message.
    fn refuse(&self, check: &'static str, recipient: Option<String>, refusal: &Refusal) {
        let reply = refusal.reply().to_string().trim_end().to_owned();
        self.tell(Event::Refused { check: check.into(), recipient, reply, reason: None });
    }

    /// Tells the verdict on MAIL, where it is a refusal.
    pub fn sender(&self, verdict: &Result<(), Refusal>) {
        if let Err(refusal) = verdict {
            let check = if *refusal == Refusal::TooManyMessages { check_of(refusal) } else { "sender" };
            self.refuse(check, None, refusal);
        }
    }

    /// Tells the verdict on RCPT.
    pub fn recipient(&self, forward_path: &ForwardPath, verdict: &Result<(), Refusal>) {
        let address = forward_path.to_string();
        match verdict {
            Ok(()) => self.tell(Event::Recipient { address }),
            Err(refusal) => self.refuse(check_of(refusal), Some(address), refusal),
        }
    }

    /// Tells the verdict on the message.
    pub fn message(&self, verdict: &Result<String, Refusal>) {
        match verdict {
            Ok(text) => self.tell(Event::Accepted { reply: text.clone() }),
            Err(refusal) => self.refuse(check_of(refusal), None, refusal),
        }
    }

    /// The present story.
    pub fn story(&self) -> &StoryId {
        &self.story
    }
}

/// A client's MAIL.
pub fn began(service: Service, client: IpAddr, session: &SmtpSession, reverse_path: &ReversePath) -> Event {
    Event::Began {
        service,
        client,
        helo: session.core.helo().to_owned(),
        tls: session.tls.as_ref().map(|tls| tls.version.clone()),
        user: session.core.user().map(str::to_owned),
        reverse_path: reverse_path.to_string(),
    }
}

/// A whole message, as it came.
pub fn received(message: &[u8]) -> Event {
    let message_id = header::find(message, "Message-ID").map(|field| field.text().into_owned());
    let author = header::find(message, "From").and_then(|field| mailbox_list::parse(&field.text()).ok());
    let author = author.unwrap_or_default();
    Event::Received {
        message_id: message_id.map(|mut id| {
            id.truncate(id.floor_char_boundary(MESSAGE_ID_MAX));
            id
        }),
        author: author.iter().take(AUTHORS_MAX).map(ToString::to_string).collect(),
        octets: message.len() as u64,
    }
}

/// The check that a refusal of a recipient or of a whole message comes from.
fn check_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::HeloForged => "helo",
        Refusal::Listed { .. } => "dnsbl",
        Refusal::NoReverseName => "reverse_name",
        Refusal::SenderDomainMissing | Refusal::SenderTakesNoMail => "sender_domain",
        Refusal::UnknownUser | Refusal::RelayDenied | Refusal::BadRecipient => "recipient",
        Refusal::TooManyRecipients => "null_sender",
        Refusal::TooManyMessages => "messages_per_hour",
        Refusal::Greylisted { .. } => "greylist",
        Refusal::DmarcReject { .. } | Refusal::DmarcUnknown { .. } => "dmarc",
        Refusal::Loop => "loop",
        Refusal::MalformedMessage(_) | Refusal::HeaderTooBig => "header",
        Refusal::AuthorNotAllowed(_) => "author",
        Refusal::MessageTooBig => "size",
        Refusal::MailboxFull => "quota",
        _ => "store",
    }
}
