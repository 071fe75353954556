//! Rewriting of the sender of a message that is forwarded (SRS, the Sender Rewriting Scheme).
//!
//! * In: the reverse-path of a message that goes on to another server, this home's keys, the day; later the
//!   forward-path of a report about that message.
//! * Out: a reverse-path of a domain of this home, which passes SPF at the next server; later the address that the
//!   report belongs to.
//! * Refused, on the way back: what was not made with these keys, what is too old, what leads nowhere. On the way
//!   out: a sender whose rewritten local part would be over 64 octets ([`TooLong`]).
//! * There is no RFC. The forms are those of the guarded scheme of libsrs2 (Shevek, 2004), which others read and write:
//!
//! | sender | is rewritten as | a report goes to |
//! |---|---|---|
//! | `ana@a.example` | `SRS0=TAG=DAY=a.example=ana@HERE` | `ana@a.example` |
//! | `SRS0=REST@b.example` | `SRS1=TAG=b.example==REST@HERE` | `SRS0=REST@b.example` |
//! | `SRS1=TAG=b.example==REST@c.example` | `SRS1=TAG=b.example==REST@HERE` | `SRS0=REST@b.example` |
//!
//! So a chain of forwarders grows the address once only; each tags with a key of its own, and only the first, which
//! is asked in the end, knows the day. `TAG` has 40 bits in letters of base32, since somebody may lower the case of
//! the whole on its way.
//!
//! Deviates: other programs take 4 letters of base64 compared without regard to case, some 20 bits; a guesser who
//! may ask all day would find those.

mod day;
mod form;
mod key;

use postern_message::address::{DomainName, EmailAddress, LocalPart};

pub use day::{Day, LIFETIME_DAYS};
pub use key::{KEY_OCTETS, Key, Keys};

use form::Form;

/// Says that the rewritten address would be longer than an address may be (RFC 5321 §4.5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender's address is too long to be rewritten")]
pub struct TooLong;

/// Why no report is led back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It does not have the form of a rewritten address.
    #[error("is not a rewritten address")]
    Malformed,
    /// It was not made with any of the keys.
    #[error("was not made here, or long ago")]
    Forged,
    /// It was made more than [`LIFETIME_DAYS`] days ago.
    #[error("is too old")]
    Expired,
}

/// Whether an address of this local part claims to be rewritten, and so is none of a user.
pub fn is_rewritten(local_part: &LocalPart) -> bool {
    Form::parse(local_part.as_str()).is_some()
}

/// The reverse-path under which mail of `sender` is forwarded by a server of the domain `here`.
///
/// # Errors
/// [`TooLong`].
pub fn rewrite(
    keys: &Keys,
    sender: &EmailAddress,
    here: &DomainName,
    today: Day,
) -> Result<EmailAddress, TooLong> {
    let local_part = sender.local_part().as_str();
    let local_part = match Form::parse(local_part) {
        Some(Form::First { rest, .. }) => second(keys, sender.domain(), rest),
        Some(Form::Second { first, rest, .. }) => second(keys, &first, rest),
        None => {
            let signed = format!("{}={}={local_part}", today.encode(), sender.domain());
            format!("SRS0={}={signed}", keys.tag(&signed))
        }
    };
    let local_part = LocalPart::from_unquoted(&local_part).map_err(|_| TooLong)?;
    EmailAddress::new(local_part, here.clone()).map_err(|_| TooLong)
}

/// Where a report to this address belongs.
///
/// # Errors
/// [`Rejected`] says why it belongs nowhere.
pub fn reverse(keys: &Keys, address: &EmailAddress, today: Day) -> Result<EmailAddress, Rejected> {
    match Form::parse(address.local_part().as_str()).ok_or(Rejected::Malformed)? {
        Form::First { rest, .. } => reverse_first(keys, rest, today),
        Form::Second { tag, first, rest } => {
            keys.verify(&format!("{first}={rest}"), tag)?;
            join(&format!("SRS0{rest}"), first)
        }
    }
}

/// `rest` begins with the separator after `SRS0`.
fn reverse_first(keys: &Keys, rest: &str, today: Day) -> Result<EmailAddress, Rejected> {
    let mut body = rest.chars();
    body.next();
    let (tag, signed) = body.as_str().split_once('=').ok_or(Rejected::Malformed)?;
    keys.verify(signed, tag)?;
    let mut parts = signed.splitn(3, '=');
    let (Some(day), Some(domain), Some(local_part)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Rejected::Malformed);
    };
    if !Day::decode(day).ok_or(Rejected::Malformed)?.is_recent(today) {
        return Err(Rejected::Expired);
    }
    join(local_part, DomainName::parse(domain).map_err(|_| Rejected::Malformed)?)
}

fn second(keys: &Keys, first: &DomainName, rest: &str) -> String {
    let signed = format!("{first}={rest}");
    format!("SRS1={}={signed}", keys.tag(&signed))
}

fn join(local_part: &str, domain: DomainName) -> Result<EmailAddress, Rejected> {
    let local_part = LocalPart::from_unquoted(local_part).map_err(|_| Rejected::Malformed)?;
    EmailAddress::new(local_part, domain).map_err(|_| Rejected::Malformed)
}
