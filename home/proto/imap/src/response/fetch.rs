//! Pieces of FETCH responses that more than one command writes.

use crate::response::encode;
use crate::types::Flag;

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
