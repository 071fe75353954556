//! Criteria that a message's numbers and flags decide: for a search of nothing else no more of it is read.

use postern_imap::types::{Flag, SearchKey};
use postern_store::account::{Flags, MessageState};

use super::convert;

/// Whether nothing else is asked for.
pub(super) fn is_enough(key: &SearchKey) -> bool {
    !key.any(&|key| {
        !matches!(key, SearchKey::And(_) | SearchKey::Or(..) | SearchKey::Not(_)) && !is_of_state(key)
    })
}

/// Whether it is a single criterion of the kind.
pub(super) fn is_of_state(key: &SearchKey) -> bool {
    matches!(
        key,
        SearchKey::Uid(_)
            | SearchKey::Sequence(_)
            | SearchKey::Flag(_)
            | SearchKey::Recent
            | SearchKey::ModSeq(_)
    )
}

/// Whether a message matches; not, where something else is asked for.
pub(super) fn matches(key: &SearchKey, state: &MessageState) -> bool {
    match key {
        SearchKey::And(keys) => keys.iter().all(|key| matches(key, state)),
        SearchKey::Or(one, other) => matches(one, state) || matches(other, state),
        SearchKey::Not(key) => !matches(key, state),
        SearchKey::Uid(set) | SearchKey::Sequence(set) => {
            let uid = state.uid.get();
            set.resolve(u32::MAX).iter().any(|(first, last)| (*first..=*last).contains(&uid))
        }
        SearchKey::Flag(flag) => has_flag(&state.flags, flag),
        SearchKey::ModSeq(mod_seq) => state.mod_seq.0 >= *mod_seq,
        _ => false,
    }
}

/// Keywords compare without regard to case, system flags by value.
fn has_flag(flags: &Flags, wanted: &Flag) -> bool {
    convert::flags_from_store(flags).iter().any(|flag| flag.name().eq_ignore_ascii_case(&wanted.name()))
}
