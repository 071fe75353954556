//! How notices reach the owner: a letter through the queue, a webhook, ntfy.
//!
//! In: what is to be told. Out: for each way that is configured, whether it took it. A letter to a user here lands in the
//! mailbox; one to an address elsewhere is signed and goes out like other mail. The two others go from home's own line, so
//! they work while the tunnel does not. Refused: addresses without TLS.
//!
//! The webhook is sent a JSON object by POST:
//!
//! ```json
//! {"host": "mail.home.example", "subject": "To look at: tunnel, edge",
//!  "notices": [{"kind": "tunnel", "subject": "edge", "what": "begun", "text": "…", "since": "2027-01-15T08:00:00Z"}]}
//! ```

use std::sync::Arc;

use hyper::Uri;
use jiff::Timestamp;
use postern_message::address::{EmailAddress, LocalPart};
use postern_store::directory::{Directory, Resolution, Route};
use postern_store::journal::StoryId;
use postern_store::queue::{Content, NewMessage, NewRecipient, Notify, Queue, Ret, Wishes};
use serde::{Deserialize, Serialize};

use super::letter::{self, Letterhead};
use super::{Entry, Telling};
use crate::certificate::acme::Https;
use crate::config;
use crate::dkim;
use crate::hostname::Hostname;
use crate::outbound::chance;

/// Tells the owner; cheap to clone.
#[derive(Clone)]
pub struct Teller {
    parts: Arc<Parts>,
}

struct Parts {
    ways: config::Notices,
    directory: Directory,
    queue: Arc<Queue>,
    hostname: Hostname,
    https: Option<Https>,
}

/// What became of one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `mail to ana@home.example`, `webhook`, `ntfy`.
    pub way: String,
    /// Why it was not taken; absent where it was.
    pub error: Option<String>,
}

/// What the webhook is sent.
#[derive(Serialize)]
struct Call<'a> {
    host: &'a str,
    subject: &'a str,
    notices: Vec<Notice<'a>>,
}

#[derive(Serialize)]
struct Notice<'a> {
    kind: super::Kind,
    subject: &'a str,
    what: Telling,
    text: &'a str,
    since: Timestamp,
}

impl Teller {
    /// A teller by the configured ways.
    pub fn new(
        ways: config::Notices,
        directory: Directory,
        queue: Arc<Queue>,
        hostname: Hostname,
        https: Option<Https>,
    ) -> Self {
        Self { parts: Arc::new(Parts { ways, directory, queue, hostname, https }) }
    }

    /// Tells by every way.
    pub async fn tell(&self, told: Vec<(Telling, Entry)>) -> Vec<Outcome> {
        let (letters, parts) = (self.parts.clone(), self.parts.clone());
        let subject = letter::subject(&told);
        let call = parts.call(&subject, &told);
        let text = letter::body(&told);
        let written = tokio::task::spawn_blocking(move || letters.write(&told)).await;
        let mut outcomes = written.unwrap_or_else(|error| vec![Outcome::failed("mail", error.to_string())]);
        if let Some(uri) = &parts.ways.webhook {
            outcomes.push(parts.post("webhook", &uri.0, "application/json", &subject, call).await);
        }
        if let Some(uri) = &parts.ways.ntfy {
            outcomes
                .push(parts.post("ntfy", &uri.0, "text/plain; charset=utf-8", &subject, text.into()).await);
        }
        outcomes
    }
}

impl Parts {
    /// The letters; blocks.
    fn write(&self, told: &[(Telling, Entry)]) -> Vec<Outcome> {
        let owners = self.owners();
        if owners.is_empty() {
            return vec![Outcome::failed("mail", "there is no user who could read it".to_owned())];
        }
        owners
            .into_iter()
            .map(|owner| {
                let error = self.write_to(&owner, told).err();
                Outcome { way: format!("mail to {owner}"), error }
            })
            .collect()
    }

    /// Whoever is configured, else whoever reads postmaster's mail.
    fn owners(&self) -> Vec<EmailAddress> {
        if !self.ways.mail.is_empty() {
            return self.ways.mail.clone();
        }
        let snapshot = self.directory.snapshot();
        match snapshot.postmaster() {
            Resolution::Local(Route { accounts, outside }) => {
                let users = accounts.into_iter().filter_map(|id| Some(snapshot.user(id)?.address.clone()));
                users.chain(outside.into_iter().map(|onward| onward.to)).collect()
            }
            Resolution::UnknownUser | Resolution::NotLocal => Vec::new(),
        }
    }

    fn write_to(&self, owner: &EmailAddress, told: &[(Telling, Entry)]) -> Result<(), String> {
        let snapshot = self.directory.snapshot();
        let domain =
            if snapshot.is_local(owner.domain()) { Some(owner.domain()) } else { snapshot.first_domain() };
        let domain = domain.ok_or("there is no domain to write from")?;
        let postmaster = LocalPart::from_unquoted("postmaster").map_err(|error| error.to_string())?;
        let from = EmailAddress::new(postmaster, domain.clone()).map_err(|error| error.to_string())?;
        let unique = chance::unique();
        let head = Letterhead {
            hostname: &self.hostname.current(),
            from: &from,
            to: owner,
            unique: &unique,
            date: Timestamp::now(),
        };
        let letter = letter::letter(&head, told);
        let keys = self.directory.dkim_signing_keys(domain);
        let signatures = dkim::sign(&keys, &[&letter]).map_err(|error| error.to_string())?;
        let message = NewMessage {
            // Nobody is told that a notice was not delivered (RFC 3834 §3.3).
            reverse_path: None,
            smtp_utf8: !owner.is_ascii(),
            recipients: vec![NewRecipient { notify: Notify::NEVER, ..NewRecipient::new(owner.clone()) }],
            sender: None,
            forwarder: None,
            prepend: signatures,
            content: Content::Bytes(&letter),
            envelope_id: None,
            ret: Ret::Headers,
            wishes: Wishes::default(),
            story: StoryId::of_our_own(&unique),
        };
        self.queue.enqueue(message).map(drop).map_err(|error| error.to_string())
    }

    fn call(&self, subject: &str, told: &[(Telling, Entry)]) -> Vec<u8> {
        let host = self.hostname.current();
        let notices = told.iter().map(|(what, entry)| Notice {
            kind: entry.kind,
            subject: &entry.subject,
            what: *what,
            text: &entry.text,
            since: entry.since,
        });
        let notices = notices.collect();
        serde_json::to_vec(&Call { host: host.as_str(), subject, notices }).unwrap_or_default()
    }

    async fn post(&self, way: &str, uri: &Uri, kind: &str, title: &str, body: Vec<u8>) -> Outcome {
        let Some(https) = &self.https else {
            return Outcome::failed(way, "this machine has no list of trusted authorities".to_owned());
        };
        let posted = https.post(uri, &[("content-type", kind), ("title", title)], body).await;
        Outcome { way: way.to_owned(), error: posted.err().map(|error| error.to_string()) }
    }
}

impl Outcome {
    fn failed(way: &str, why: String) -> Self {
        Self { way: way.to_owned(), error: Some(why) }
    }

    /// Whether it was taken.
    pub fn is_taken(&self) -> bool {
        self.error.is_none()
    }
}
