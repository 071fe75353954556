//! What the queue is given and what it gives back.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use jiff::Timestamp;
use postern_message::address::EmailAddress;
use serde::{Deserialize, Serialize};

use super::{Deadline, Lane, Precedence};
use crate::account::AccountId;
use crate::journal::StoryId;
use crate::stage::StagedMessage;

/// Names one queued message for as long as the queue exists; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub i64);

impl Display for QueueId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that names no queued message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message is named by its number, which the list of the queue shows")]
pub struct InvalidQueueId;

impl FromStr for QueueId {
    type Err = InvalidQueueId;

    fn from_str(text: &str) -> Result<Self, InvalidQueueId> {
        text.parse().map(QueueId).map_err(|_| InvalidQueueId)
    }
}

/// Names one recipient of one queued message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecipientId(pub(super) i64);

/// A message to be queued.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// Where reports go; `None` is the null reverse-path of a report, which is never reported on itself.
    pub reverse_path: Option<EmailAddress>,
    /// At least one.
    pub recipients: Vec<NewRecipient>,
    /// The authenticated account that submitted it; reports are sent only where there is one.
    pub sender: Option<AccountId>,
    /// The account for which it is sent on, in whose mailbox reports are put: whoever wrote it knows nothing of the next server.
    pub forwarder: Option<AccountId>,
    /// Header fields, each with its CRLF, that stand before the content: trace, added fields, signatures.
    pub prepend: Vec<u8>,
    /// The message as received, with CRLF line ends.
    pub content: Content<'a>,
    /// The submitter asked for SMTPUTF8 (RFC 6531 §3.4), so only a server that offers it may have the message.
    pub smtp_utf8: bool,
    /// The ENVID parameter, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// The RET parameter (RFC 3461 §4.3).
    pub ret: Ret,
    /// What the sender asked of the way.
    pub wishes: Wishes,
    /// What the journal tells of it stands under this id; a report's under that of the message it is about.
    pub story: StoryId,
}

/// What a sender may ask of the way that a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// No attempt before then (RFC 4865).
    pub not_before: Option<Timestamp>,
    /// Whether TLS is needed.
    pub tls: TlsWish,
    /// To how many it goes.
    pub precedence: Precedence,
    /// When it is to be delivered at the latest.
    pub deadline: Option<Deadline>,
}

/// What the sender says of TLS on the way (RFC 8689).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsWish {
    /// Nothing: what the destination says counts.
    #[default]
    Unsaid,
    /// REQUIRETLS: with verified servers under TLS only, all the way.
    Required,
    /// `TLS-Required: No`: also where the destination's policy cannot be fulfilled.
    NotRequired,
}

impl TlsWish {
    pub(super) fn to_column(self) -> i64 {
        match self {
            TlsWish::Unsaid => 0,
            TlsWish::Required => 1,
            TlsWish::NotRequired => 2,
        }
    }

    pub(super) fn from_column(value: i64) -> Self {
        match value {
            1 => TlsWish::Required,
            2 => TlsWish::NotRequired,
            _ => TlsWish::Unsaid,
        }
    }
}

impl Envelope {
    /// Since when delivery may be tried: from here its time counts.
    pub fn begins(&self) -> Timestamp {
        self.wishes.not_before.map_or(self.arrived, |time| time.max(self.arrived))
    }
}

/// Where the content of a new message is.
#[derive(Debug)]
pub enum Content<'a> {
    /// A message received whole. A large one is linked, not copied.
    Staged(&'a StagedMessage),
    /// Short content made by the program itself, as a report is.
    Bytes(&'a [u8]),
}

/// One recipient of a message to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecipient {
    /// Where to deliver.
    pub forward_path: EmailAddress,
    /// When to report to the sender.
    pub notify: Notify,
    /// The ORCPT parameter as given, `rfc822;ana@home.example` (RFC 3461 §4.2).
    pub original_recipient: Option<String>,
}

impl NewRecipient {
    /// Names a recipient with the default NOTIFY and no ORCPT.
    pub fn new(forward_path: EmailAddress) -> Self {
        NewRecipient { forward_path, notify: Notify::default(), original_recipient: None }
    }
}

/// The NOTIFY parameter (RFC 3461 §4.1). All three off is `NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// Report a delivery.
    pub success: bool,
    /// Report a failure.
    pub failure: bool,
    /// Report a delay.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`.
    pub const NEVER: Notify = Notify { success: false, failure: false, delay: false };

    pub(super) fn to_bits(self) -> i64 {
        i64::from(self.success) | i64::from(self.failure) << 1 | i64::from(self.delay) << 2
    }

    pub(super) fn from_bits(bits: i64) -> Self {
        Notify { success: bits & 1 != 0, failure: bits & 2 != 0, delay: bits & 4 != 0 }
    }
}

/// Without NOTIFY, failures and delays are reported (RFC 3461 §4.1).
impl Default for Notify {
    fn default() -> Self {
        Notify { success: false, failure: true, delay: true }
    }
}

/// How much of the message a failure report returns (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ret {
    /// Not said: the header section only, and nothing is said to the next host either.
    #[default]
    Unsaid,
    /// The header section only.
    Headers,
    /// The whole message.
    Full,
}

impl Ret {
    pub(super) fn to_column(self) -> i64 {
        match self {
            Ret::Unsaid => 0,
            Ret::Full => 1,
            Ret::Headers => 2,
        }
    }

    pub(super) fn from_column(value: i64) -> Self {
        match value {
            1 => Ret::Full,
            2 => Ret::Headers,
            _ => Ret::Unsaid,
        }
    }
}

/// Where a recipient stands; the table is in the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecipientState {
    /// To be tried at its next attempt.
    Waiting,
    /// Taken over by its next host or by the store.
    Delivered,
    /// Given up.
    Failed,
    /// Kept back by the operator until it is released.
    Held,
}

impl RecipientState {
    pub(super) fn to_column(self) -> i64 {
        match self {
            RecipientState::Waiting => 0,
            RecipientState::Delivered => 1,
            RecipientState::Failed => 2,
            RecipientState::Held => 3,
        }
    }

    pub(super) fn from_column(value: i64) -> Self {
        match value {
            1 => RecipientState::Delivered,
            2 => RecipientState::Failed,
            3 => RecipientState::Held,
            _ => RecipientState::Waiting,
        }
    }
}

/// What came of one attempt at one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The recipient.
    pub recipient: RecipientId,
    /// What is to be written down.
    pub outcome: Outcome,
    /// The host's reply verbatim, or our own reason; for people.
    pub reply: String,
    /// The host that replied, where one did.
    pub remote_host: Option<String>,
}

/// The transition that an attempt makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Waiting → delivered.
    Delivered,
    /// Waiting → failed.
    Failed,
    /// Waiting → waiting.
    Deferred {
        /// The earliest time of the next attempt.
        next_attempt: Timestamp,
        /// A delay report goes out with this transition, and no second one after it.
        delay_reported: bool,
    },
}

/// One message for one destination domain, ready for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The message.
    pub message: QueueId,
    /// The lane in which it waited.
    pub lane: Lane,
    /// The domain that all of [`Job::recipients`] share.
    pub domain: String,
    /// The recipients that are due, at most the number asked for.
    pub recipients: Vec<DueRecipient>,
    /// The message's envelope.
    pub envelope: Envelope,
}

/// What all recipients of a message share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `None` is the null reverse-path.
    pub reverse_path: Option<EmailAddress>,
    /// The authenticated account that submitted it.
    pub sender: Option<AccountId>,
    /// The account for which it is sent on.
    pub forwarder: Option<AccountId>,
    /// SMTPUTF8 is required of the next host.
    pub smtp_utf8: bool,
    /// ENVID, decoded.
    pub envelope_id: Option<String>,
    /// RET.
    pub ret: Ret,
    /// Octets of the whole message with its prepended header fields.
    pub octets: u64,
    /// When it was queued.
    pub arrived: Timestamp,
    /// What the sender asked of the way.
    pub wishes: Wishes,
    /// Under which the journal tells of it.
    pub story: StoryId,
}

/// A recipient that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRecipient {
    /// Names it in a [`Settlement`].
    pub id: RecipientId,
    /// Where to deliver.
    pub forward_path: EmailAddress,
    /// When to report.
    pub notify: Notify,
    /// ORCPT as given.
    pub original_recipient: Option<String>,
    /// Attempts already made.
    pub attempts: u32,
    /// A delay report has gone out.
    pub delay_reported: bool,
}

/// One line of `queue list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The message.
    pub id: QueueId,
    /// Under which the journal tells of it.
    pub story: StoryId,
    /// Empty for the null reverse-path.
    pub reverse_path: String,
    /// Octets of the whole message.
    pub octets: u64,
    /// When it was queued, RFC 3339.
    pub arrived: String,
    /// Recipients still waiting.
    pub waiting: u32,
    /// Recipients that the operator holds.
    pub held: u32,
    /// All recipients.
    pub recipients: u32,
    /// The earliest next attempt of a waiting recipient, RFC 3339.
    pub next_attempt: Option<String>,
    /// The newest reply or reason of a waiting recipient.
    pub last_reply: Option<String>,
    /// Why it is held with its sender's account, where that is so.
    pub account_held: Option<String>,
    /// Not tried before then because the sender wished so, RFC 3339.
    pub not_before: Option<String>,
    /// Why no remote delivery is tried at present, where that is so.
    pub held_because: Option<String>,
}

/// The whole of `queue show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What `queue list` says of it.
    #[serde(flatten)]
    pub summary: Summary,
    /// Every recipient with its story.
    pub recipient_details: Vec<RecipientDetail>,
}

/// One recipient in `queue show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientDetail {
    /// Where it goes.
    pub forward_path: String,
    /// Where it stands.
    pub state: RecipientState,
    /// Attempts made.
    pub attempts: u32,
    /// The next attempt of a waiting recipient, RFC 3339.
    pub next_attempt: Option<String>,
    /// The last attempt, RFC 3339.
    pub last_attempt: Option<String>,
    /// The host that replied last.
    pub last_host: Option<String>,
    /// Its reply verbatim, or our own reason.
    pub last_reply: Option<String>,
}
