//! Pieces of FETCH responses that more than one command writes.

use crate::response::encode;
use crate::types::{Flag, MessageRef};

/// Whether `\Recent` is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recent {
    /// No session was told of the message before this one.
    Recent,
    /// Another one was.
    Old,
}

impl Recent {
    /// `Recent` if `condition` holds.
    pub fn when(condition: bool) -> Recent {
        if condition { Recent::Recent } else { Recent::Old }
    }
}

/// Writes `(\Seen \Recent)`.
pub fn flag_list(flags: &[Flag], recent: Recent, out: &mut Vec<u8>) {
    let recent = (recent == Recent::Recent).then_some("\\Recent");
    let names = flags.iter().map(Flag::name).chain(recent.map(Into::into));
    encode::parenthesised(names, |name, out| out.extend_from_slice(name.as_bytes()), out);
}

/// Writes `* 3 FETCH (FLAGS (...))`, with the UID where the command was a UID one (RFC 9051 §6.4.9).
pub fn flags_update(message: MessageRef, flags: &[Flag], recent: Recent, with_uid: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("* {} FETCH (", message.sequence).as_bytes());
    if with_uid {
        out.extend_from_slice(format!("UID {} ", message.uid).as_bytes());
    }
    out.extend_from_slice(b"FLAGS ");
    flag_list(flags, recent, out);
    out.extend_from_slice(b")\r\n");
}
