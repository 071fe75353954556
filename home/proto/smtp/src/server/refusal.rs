//! Every reason to say no, and the one function that words it for the wire.
//!
//! The wire text is generic; what exactly happened goes to the log. A uniform table.

use super::reply::Reply;

/// Why a command or a message is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    // The client broke the protocol.
    /// The verb is not known.
    UnknownCommand,
    /// The verb is known but not offered here.
    NotOffered,
    /// The line is not well formed.
    Syntax(&'static str),
    /// A parameter of MAIL or RCPT is not offered.
    UnknownParameter,
    /// The command line has no end within the limit.
    LineTooLong,
    /// The command does not belong here; the text says what is missing.
    BadSequence(&'static str),
    /// A bare CR or LF in a command.
    BareLineEndInCommand,
    /// A bare CR or LF in the message.
    BareLineEndInData,
    /// The length of a chunk is not understood.
    ChunkSyntax,
    /// Not SMTP at all: a browser, a proxy.
    ForeignProtocol,
    /// More errors than a client makes by mistake.
    TooManyErrors,
    /// An address needs SMTPUTF8 and the client did not ask for it.
    NeedsSmtpUtf8,

    // TLS and authentication.
    /// TLS first.
    TlsRequired,
    /// AUTH first.
    AuthenticationRequired,
    /// This mechanism is not offered.
    UnknownMechanism,
    /// A response that is not base64 or not of the mechanism's form, or a cancelled exchange.
    AuthenticationSyntax,
    /// Wrong name or password.
    AuthenticationFailed,
    /// Passwords cannot be checked now.
    AuthenticationUnavailable,

    // The client.
    /// It did not wait for the greeting.
    EarlyTalker,
    /// What it calls itself is ours, or another's.
    HeloForged,
    /// A DNS list has it.
    Listed {
        /// The list.
        zone: String,
        /// What the list says of its reason.
        words: String,
    },
    /// No name leads to its address and back.
    NoReverseName,
    /// Its network has sent its share for now.
    TooManyMessages,
    /// It is not known, and is asked to come again.
    Greylisted {
        /// When.
        seconds: u64,
    },

    // Recipients and senders.
    /// The domain of the envelope sender does not exist.
    SenderDomainMissing,
    /// The domain of the envelope sender takes no mail.
    SenderTakesNoMail,
    /// No such user in a domain of ours.
    UnknownUser,
    /// A rewritten address to which no report may be led back; the text says why.
    NoWayBack(&'static str),
    /// The recipient's domain is not ours.
    RelayDenied,
    /// The address has no form that a mailbox of ours can have.
    BadRecipient,
    /// The recipient list is full.
    TooManyRecipients,
    /// DATA without an accepted recipient.
    NoValidRecipients,
    /// The envelope sender does not belong to the authenticated user.
    SenderNotAllowed,
    /// FUTURERELEASE: later than EHLO announced.
    ReleaseTooLate,
    /// So much of this user's mail is held that no more is taken.
    AccountHeld,
    /// The From field does not belong to the authenticated user; the text names what is wrong.
    AuthorNotAllowed(&'static str),

    // The message.
    /// More octets than accepted.
    MessageTooBig,
    /// The header section is larger than accepted.
    HeaderTooBig,
    /// Too many Received fields, or an address here has sent it on before.
    Loop,
    /// The author's domain asks for refusal (DMARC).
    DmarcReject {
        /// The domain of the From field.
        domain: String,
    },
    /// The author's domain asks for proof (DMARC), and the DNS does not say whether there is one.
    DmarcUnknown {
        /// The domain of the From field.
        domain: String,
    },
    /// Not a message: for instance more than one From field on submission.
    MalformedMessage(&'static str),

    // Our side.
    /// Something here does not work now.
    Temporary,
    /// The disk is full.
    StorageFull,
    /// A mailbox is full.
    MailboxFull,
    /// The client was silent for too long.
    Timeout,
    /// The server goes down.
    Shutdown,
}

impl Refusal {
    /// The reply for the wire.
    pub fn reply(&self) -> Reply {
        let (code, status, text) = self.words();
        match self {
            Refusal::DmarcReject { domain } | Refusal::DmarcUnknown { domain } => {
                Reply::new(code, status, format!("{text} of {domain}"))
            }
            Refusal::Listed { zone, words } => {
                Reply::new(code, status, format!("{text} {zone}: {words}").trim_end_matches([':', ' ']))
            }
            Refusal::Greylisted { seconds } => {
                Reply::new(code, status, format!("{text} in {seconds} seconds"))
            }
            _ => Reply::new(code, status, text),
        }
    }

    /// Whether the connection is closed after the reply.
    pub fn closes(&self) -> bool {
        matches!(self.words().0, 421 | 521)
    }

    fn words(&self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::UnknownCommand => (500, "5.5.1", "command not recognized"),
            Refusal::NotOffered => (502, "5.5.1", "command not offered"),
            Refusal::Syntax(text) => (501, "5.5.4", text),
            Refusal::UnknownParameter => (555, "5.5.4", "parameter not recognized"),
            Refusal::LineTooLong => (500, "5.5.2", "line too long"),
            Refusal::BadSequence(text) => (503, "5.5.1", text),
            Refusal::BareLineEndInCommand => (521, "5.5.2", "lines must end with CRLF"),
            Refusal::BareLineEndInData => {
                (554, "5.6.0", "message has a bare CR or LF; lines must end with CRLF")
            }
            Refusal::ChunkSyntax => (521, "5.5.4", "expected BDAT octets [LAST]"),
            Refusal::ForeignProtocol => (421, "4.7.0", "this is SMTP"),
            Refusal::TooManyErrors => (421, "4.7.0", "too many errors"),
            Refusal::NeedsSmtpUtf8 => (553, "5.6.7", "address needs SMTPUTF8"),
            Refusal::TlsRequired => (530, "5.7.0", "must issue a STARTTLS command first"),
            Refusal::AuthenticationRequired => (530, "5.7.0", "authentication required"),
            Refusal::UnknownMechanism => (504, "5.5.4", "authentication mechanism not offered"),
            Refusal::AuthenticationSyntax => (501, "5.5.2", "authentication cancelled or malformed"),
            Refusal::AuthenticationFailed => (535, "5.7.8", "authentication credentials invalid"),
            Refusal::AuthenticationUnavailable => (454, "4.7.0", "temporary authentication failure"),
            Refusal::EarlyTalker => (554, "5.5.1", "wait for the greeting before you talk"),
            Refusal::HeloForged => (550, "5.7.1", "you are not what you call yourself in HELO"),
            Refusal::Listed { .. } => (550, "5.7.1", "your address is listed at"),
            // RFC 7372 §3.3.
            Refusal::NoReverseName => (550, "5.7.25", "your address has no name that leads back to it"),
            Refusal::TooManyMessages => {
                (451, "4.7.1", "too many messages from your network, try again later")
            }
            Refusal::Greylisted { .. } => (451, "4.7.1", "greylisted: please come again"),
            Refusal::SenderDomainMissing => (550, "5.1.8", "the sender's domain does not exist"),
            // RFC 7505 §4.2.
            Refusal::SenderTakesNoMail => (550, "5.7.27", "the sender's domain takes no mail"),
            Refusal::UnknownUser => (550, "5.1.1", "no such user here"),
            Refusal::NoWayBack(text) => (550, "5.1.1", text),
            Refusal::RelayDenied => (550, "5.7.1", "relaying denied"),
            Refusal::BadRecipient => (550, "5.1.3", "not a mailbox here"),
            Refusal::TooManyRecipients => (452, "4.5.3", "too many recipients"),
            Refusal::NoValidRecipients => (554, "5.5.1", "no valid recipients"),
            Refusal::SenderNotAllowed => {
                (553, "5.7.1", "sender address does not belong to the authenticated user")
            }
            Refusal::ReleaseTooLate => (501, "5.5.4", "later than the server holds messages for"),
            Refusal::AccountHeld => {
                (450, "4.7.1", "mail of this account is held until the owner of the server has looked at it")
            }
            Refusal::AuthorNotAllowed(text) => (550, "5.7.1", text),
            Refusal::MessageTooBig => (552, "5.3.4", "message exceeds the size limit"),
            Refusal::HeaderTooBig => (552, "5.3.4", "message header exceeds the size limit"),
            Refusal::Loop => (554, "5.4.6", "mail loop: too many hops, or sent on from here before"),
            Refusal::DmarcReject { .. } => (550, "5.7.1", "rejected by the DMARC policy"),
            Refusal::DmarcUnknown { .. } => {
                (451, "4.7.5", "cannot check now what is wanted by the DMARC policy")
            }
            Refusal::MalformedMessage(text) => (554, "5.6.0", text),
            Refusal::Temporary => (451, "4.3.0", "temporary failure, try again later"),
            Refusal::StorageFull => (452, "4.3.1", "insufficient storage, try again later"),
            Refusal::MailboxFull => (452, "4.2.2", "mailbox full, try again later"),
            Refusal::Timeout => (421, "4.4.2", "timeout, closing connection"),
            Refusal::Shutdown => (421, "4.3.2", "service shutting down"),
        }
    }
}
