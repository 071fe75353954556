//! The envelope of one mail transaction and its commands.
//!
//! In: reverse-path, forward-paths and what is known of the content. Out: MAIL and RCPT command lines with the
//! parameters that the server offers, or the reason why this server cannot take the message at all.
//!
//! Implements RFC 5321 §3.3, RFC 1870 §6 (SIZE), RFC 6152 §2 (BODY), RFC 6531 §3.4 (SMTPUTF8), RFC 3461 §4 (RET,
//! ENVID, NOTIFY, ORCPT), RFC 8689 §4.2.1 (REQUIRETLS), RFC 2852 §4 (BY).
//!
//! Deviates: RFC 6152 §3 forbids sending 8-bit content to a server without 8BITMIME. It is sent as it is: to
//! re-encode it would break its signatures, no server in use clears the eighth bit, and a report to the sender
//! would help nobody.

use std::fmt::Write as _;

use postern_message::address::EmailAddress;

use super::capabilities::Capabilities;
use crate::deliver_by::{ByMode, DeliverBy};
use crate::xtext;

/// What a mail transaction carries beside the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `None` is the null reverse-path.
    pub reverse_path: Option<EmailAddress>,
    /// One or more; a server need not take more than 100 (RFC 5321 §4.5.3.1.8).
    pub recipients: Vec<Recipient>,
    /// Octets of the content.
    pub octets: u64,
    /// Whether the content has octets above 127.
    pub body: BodyType,
    /// Header fields may hold UTF-8, so that the server must offer SMTPUTF8.
    pub smtp_utf8: bool,
    /// Only a server that offers REQUIRETLS may have it (RFC 8689 §4.2.1); whether the session is under TLS with a verified server
    /// is the shell's to see to.
    pub require_tls: bool,
    /// Within which time it is to be delivered; where it is to come back else, only a server that offers DELIVERBY may have it.
    pub deliver_by: Option<DeliverBy>,
    /// RET and ENVID for a server that offers DSN.
    pub dsn: Option<DsnParameters>,
}

/// The BODY parameter (RFC 6152 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// US-ASCII only.
    SevenBit,
    /// Octets above 127.
    EightBitMime,
}

/// One recipient with its DSN parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Where to deliver.
    pub forward_path: EmailAddress,
    /// The value of NOTIFY, as `FAILURE,DELAY`, where the default does not do.
    pub notify: Option<String>,
    /// The value of ORCPT, already in xtext.
    pub original_recipient: Option<String>,
}

impl Recipient {
    /// A recipient without DSN parameters.
    pub fn new(forward_path: EmailAddress) -> Self {
        Recipient { forward_path, notify: None, original_recipient: None }
    }
}

/// The DSN parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DsnParameters {
    /// `FULL` or `HDRS`.
    pub ret: Option<&'static str>,
    /// The envelope identifier, decoded.
    pub envelope_id: Option<String>,
}

/// This server cannot take this message, and trying again changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The enhanced status code for the report.
    pub status: &'static str,
    /// The reason, for people.
    pub reason: String,
}

impl Envelope {
    /// Compares the message with what the server offers.
    ///
    /// # Errors
    /// The reason to give the message back.
    pub fn check(&self, capabilities: &Capabilities) -> Result<(), Unsupported> {
        if self.needs_smtp_utf8() && !capabilities.smtp_utf8 {
            let reason =
                "the receiving server does not take addresses or header fields outside ASCII (SMTPUTF8)";
            return Err(Unsupported { status: "5.6.7", reason: reason.into() });
        }
        if self.require_tls && !capabilities.require_tls {
            let reason = "the sender requires TLS on the whole way, and the receiving server does not promise that (REQUIRETLS)";
            return Err(Unsupported { status: "5.7.30", reason: reason.into() });
        }
        if let Some(reason) = self.cannot_be_in_time(capabilities) {
            return Err(Unsupported { status: "5.4.7", reason });
        }
        match capabilities.size_limit {
            Some(limit) if self.octets > limit => Err(Unsupported {
                status: "5.3.4",
                reason: format!("the message has {} octets; the receiving server takes {limit}", self.octets),
            }),
            _ => Ok(()),
        }
    }

    /// Why a message that is to come back when it is late cannot go there (RFC 2852 §4), if so.
    fn cannot_be_in_time(&self, capabilities: &Capabilities) -> Option<String> {
        let by = self.deliver_by.filter(|by| by.mode == ByMode::Return)?;
        match capabilities.deliver_by {
            None => Some(
                "the sender wants it back unless it is delivered in time, and the receiving server does not promise that (DELIVERBY)"
                    .to_owned(),
            ),
            Some(least) if by.seconds < least.max(1) => Some(format!(
                "the sender wants it back unless it is delivered within {} seconds, and the receiving server wants {least} at least",
                by.seconds
            )),
            Some(_) => None,
        }
    }

    /// The MAIL command with its CRLF.
    pub fn mail_command(&self, capabilities: &Capabilities) -> String {
        let mut line = match &self.reverse_path {
            Some(address) => format!("MAIL FROM:<{address}>"),
            None => "MAIL FROM:<>".to_owned(),
        };
        if capabilities.size {
            let _ = write!(line, " SIZE={}", self.octets);
        }
        if self.body == BodyType::EightBitMime && capabilities.eight_bit_mime {
            line.push_str(" BODY=8BITMIME");
        }
        if self.needs_smtp_utf8() {
            line.push_str(" SMTPUTF8");
        }
        if let (Some(by), Some(_)) = (self.deliver_by, capabilities.deliver_by) {
            let _ = write!(line, " BY={by}");
        }
        if self.require_tls {
            line.push_str(" REQUIRETLS");
        }
        if let (Some(dsn), true) = (&self.dsn, capabilities.dsn) {
            push_parameter(&mut line, "RET", dsn.ret);
            push_parameter(&mut line, "ENVID", dsn.envelope_id.as_deref().map(xtext::encode).as_deref());
        }
        line + "\r\n"
    }

    /// The RCPT command of one recipient with its CRLF.
    pub fn rcpt_command(&self, recipient: &Recipient, capabilities: &Capabilities) -> String {
        let mut line = format!("RCPT TO:<{}>", recipient.forward_path);
        if capabilities.dsn {
            push_parameter(&mut line, "NOTIFY", recipient.notify.as_deref());
            push_parameter(&mut line, "ORCPT", recipient.original_recipient.as_deref());
        }
        line + "\r\n"
    }

    fn needs_smtp_utf8(&self) -> bool {
        let ascii = |address: &EmailAddress| address.is_ascii();
        self.smtp_utf8
            || !self.reverse_path.as_ref().is_none_or(ascii)
            || !self.recipients.iter().all(|recipient| ascii(&recipient.forward_path))
    }
}

/// Adds a parameter, unless its value could end the command line.
fn push_parameter(line: &mut String, keyword: &str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| value.bytes().all(|octet| octet.is_ascii_graphic())) {
        let _ = write!(line, " {keyword}={value}");
    }
}
