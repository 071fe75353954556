//! SETACL (RFC 4314 §3.1) and DELETEACL (RFC 4314 §3.2): one entry of a mailbox's access control list.
//!
//! Deviates: identifiers are compared as login names are, without SASLprep (RFC 4314 §3).

use crate::parser::{ParseError, Parser, Result};
use crate::request::{Request, RightsChange};
use crate::response::encode;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, done_or_refused};
use crate::types::{MailboxName, NameEncoding, Rights};

/// Which entry, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAcl {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// A user, `anyone`, or either with `-` in front.
    pub identifier: String,
    /// `None` for DELETEACL.
    pub change: Option<(RightsChange, Rights)>,
}

impl SetAcl {
    pub(super) fn parse(name: &str, parser: &mut Parser<'_>) -> Result<SetAcl> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        parser.space()?;
        let identifier = identifier(parser)?;
        let change = match name {
            "DELETEACL" => None,
            _ => {
                parser.space()?;
                Some(modification(&parser.text_astring()?)?)
            }
        };
        Ok(SetAcl { mailbox, identifier, change })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        let name: &[u8] = if self.change.is_some() { b"SETACL " } else { b"DELETEACL " };
        out.extend_from_slice(name);
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
        out.push(b' ');
        encode::astring(self.identifier.as_bytes(), out);
        if let Some((change, rights)) = &self.change {
            let sign = match change {
                RightsChange::Replace => "",
                RightsChange::Add => "+",
                RightsChange::Remove => "-",
            };
            out.push(b' ');
            encode::astring(format!("{sign}{}", rights.as_str()).as_bytes(), out);
        }
    }
}

impl Task for SetAcl {
    fn resume(&mut self, _: &mut Core, input: Input) -> Progress {
        match (input, &self.change) {
            (Input::Start, change) => {
                // An entry without rights is none.
                let (change, rights) = change.clone().unwrap_or((RightsChange::Replace, Rights::default()));
                let (mailbox, identifier) = (self.mailbox.clone(), self.identifier.clone());
                Progress::Ask(Request::SetAcl { mailbox, identifier, change, rights })
            }
            (input, Some(_)) => done_or_refused(input, "SETACL completed"),
            (input, None) => done_or_refused(input, "DELETEACL completed"),
        }
    }
}

/// RFC 4314 §3: an empty identifier is BAD.
pub(super) fn identifier(parser: &mut Parser<'_>) -> Result<String> {
    let identifier = parser.text_astring()?;
    match identifier.as_str() {
        "" | "-" => Err(ParseError::Syntax("Empty identifier")),
        _ => Ok(identifier),
    }
}

/// `["+" / "-"] *right`
fn modification(text: &str) -> Result<(RightsChange, Rights)> {
    let (change, letters) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(letters), _) => (RightsChange::Add, letters),
        (_, Some(letters)) => (RightsChange::Remove, letters),
        _ => (RightsChange::Replace, text),
    };
    let rights = Rights::new(letters).ok_or(ParseError::Syntax("Unknown right"))?;
    Ok((change, rights))
}
