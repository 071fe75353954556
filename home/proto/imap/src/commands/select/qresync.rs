//! QRESYNC of SELECT (RFC 7162 §3.2.5): what a client has, and what happened since.

use crate::parser::{ParseError, Parser, Result};
use crate::request::Changes;
use crate::session::core::{Core, Numbering};
use crate::types::{Number, SequenceSet};

/// What the client remembers of the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QResync {
    /// The generation of its UIDs.
    pub uid_validity: u32,
    /// The mod-sequence up to which it was told of everything.
    pub mod_seq: u64,
    /// The UIDs that it keeps; all of them, if absent.
    pub known_uids: Option<SequenceSet>,
    /// Some sequence numbers, and the UIDs that they stood for.
    pub samples: Option<(SequenceSet, SequenceSet)>,
}

impl QResync {
    /// `(uidvalidity mod-sequence [known-uids] [(sequence-set uid-set)])`
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<QResync> {
        parser.space()?;
        parser.expect(b'(', "Expected QRESYNC arguments")?;
        let uid_validity = parser.nz_number()?;
        parser.space()?;
        let mod_seq = parser.number64()?;
        let mut resync = QResync { uid_validity, mod_seq, known_uids: None, samples: None };
        while parser.eat(b' ') {
            match parser.peek() {
                Some(b'(') if resync.samples.is_none() => resync.samples = Some(samples(parser)?),
                _ if resync.known_uids.is_none() && resync.samples.is_none() => {
                    resync.known_uids = Some(known(parser)?);
                }
                _ => return Err(ParseError::Syntax("Unexpected QRESYNC argument")),
            }
        }
        parser.expect(b')', "Unexpected QRESYNC argument")?;
        Ok(resync)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("QRESYNC ({} {}", self.uid_validity, self.mod_seq).as_bytes());
        if let Some(uids) = &self.known_uids {
            out.push(b' ');
            uids.encode(out);
        }
        if let Some((sequences, uids)) = &self.samples {
            out.extend_from_slice(b" (");
            sequences.encode(out);
            out.push(b' ');
            uids.encode(out);
            out.push(b')');
        }
        out.push(b')');
    }

    /// Tells what happened to the messages that the client knows, removals first (RFC 7162 §3.2.6).
    pub(super) fn tell(&self, core: &mut Core, mut changes: Changes) {
        let Some(selected) = &core.selected else {
            return;
        };
        let (view, mod_seq) = (&selected.view, selected.mod_seq);
        let known = self.known_uids.as_ref().map(|set| set.resolve(u32::MAX));
        let is_known = |uid: u32| known.as_ref().is_none_or(|ranges| contains(ranges, uid));
        let floor = self.samples.as_ref().map_or(0, |samples| matched(samples, |number| view.uid_of(number)));
        // What is still in the view is told as removed when the session next looks for changes.
        changes.expunged.retain(|&uid| uid > floor && is_known(uid) && view.sequence_of(uid).is_none());
        changes.changed.retain(|message| message.mod_seq <= mod_seq && is_known(message.uid));
        core.tell_vanished("VANISHED (EARLIER) ", &changes.expunged);
        for message in &changes.changed {
            core.tell_flags(message, Numbering::Uid);
        }
    }
}

/// The largest UID of a sample that still stands for its sequence number, or 0 (RFC 7162 §3.2.5.2): the client knows
/// of every removal up to there.
fn matched((sequences, uids): &(SequenceSet, SequenceSet), uid_of: impl Fn(u32) -> Option<u32>) -> u32 {
    let numbers =
        |set: &SequenceSet| set.resolve(u32::MAX).into_iter().flat_map(|(first, last)| first..=last);
    let pairs = numbers(sequences).zip(numbers(uids));
    let standing =
        pairs.map(|(sequence, uid)| (uid_of(sequence), uid)).take_while(|(found, _)| found.is_some());
    standing.filter(|(found, uid)| *found == Some(*uid)).map(|(_, uid)| uid).last().unwrap_or(0)
}

/// Whether `uid` is in one of these ascending ranges.
pub(in crate::commands) fn contains(ranges: &[(u32, u32)], uid: u32) -> bool {
    let index = ranges.partition_point(|range| range.1 < uid);
    ranges.get(index).is_some_and(|range| range.0 <= uid)
}

fn samples(parser: &mut Parser<'_>) -> Result<(SequenceSet, SequenceSet)> {
    parser.expect(b'(', "Expected sequence match data")?;
    let sequences = known(parser)?;
    parser.space()?;
    let uids = known(parser)?;
    parser.expect(b')', "Invalid sequence match data")?;
    Ok((sequences, uids))
}

/// RFC 7162 §7: no `*` in what a client knows.
fn known(parser: &mut Parser<'_>) -> Result<SequenceSet> {
    let set = parser.sequence_set()?;
    let fixed = |number: &Number| matches!(number, Number::Exactly(_));
    match &set {
        SequenceSet::Ranges(ranges) if ranges.iter().all(|(first, last)| fixed(first) && fixed(last)) => {
            Ok(set)
        }
        _ => Err(ParseError::Syntax("Known UIDs must be numbers")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u32, u32)]) -> SequenceSet {
        let exactly = |&(first, last): &(u32, u32)| (Number::Exactly(first), Number::Exactly(last));
        SequenceSet::Ranges(ranges.iter().map(exactly).collect())
    }

    #[test]
    fn the_last_sample_that_holds_counts() {
        // RFC 7162 §3.2.5.2: the fourth message still has UID 8, the twelfth has 25 and not 24.
        let uid_of = |sequence| [(4, 8), (12, 25)].iter().find(|pair| pair.0 == sequence).map(|pair| pair.1);
        assert_eq!(matched(&(set(&[(4, 4), (12, 12)]), set(&[(8, 8), (24, 24)])), uid_of), 8);
        assert_eq!(matched(&(set(&[(4, 4)]), set(&[(9, 9)])), uid_of), 0);
        assert_eq!(matched(&(set(&[(1, u32::MAX)]), set(&[(1, u32::MAX)])), |n| (n < 5).then_some(n)), 4);
    }

    #[test]
    fn ranges_contain_their_ends() {
        let ranges = [(2, 3), (7, 7)];
        let inside: Vec<u32> = (1..9).filter(|&uid| contains(&ranges, uid)).collect();
        assert_eq!(inside, [2, 3, 7]);
    }
}
