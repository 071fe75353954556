//! The session's own numbering of the selected mailbox: which UID stands behind which sequence number.
//!
//! Sequence numbers change only when the session tells its client so (RFC 9051 §7.5.1), so the view is the
//! session's and not the store's. It is kept as runs of consecutive UIDs: a mailbox without gaps costs a few octets.

use crate::types::MessageRef;

/// UIDs `first_uid .. first_uid + length`, numbered from `first_sequence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first_uid: u32,
    length: u32,
    first_sequence: u32,
}

impl Run {
    fn end_uid(&self) -> u64 {
        u64::from(self.first_uid) + u64::from(self.length)
    }
}

/// UIDs in ascending order, numbered from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageView {
    runs: Vec<Run>,
}

impl MessageView {
    /// The view of a mailbox with these UIDs, ascending.
    pub fn new(uids: impl IntoIterator<Item = u32>) -> MessageView {
        let mut view = MessageView::default();
        for uid in uids {
            view.append(uid);
        }
        view
    }

    /// Number of messages (EXISTS).
    pub fn exists(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.first_sequence + run.length - 1)
    }

    /// The largest UID; 0 when there is none.
    pub fn largest_uid(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.first_uid + (run.length - 1))
    }

    /// Adds a message at the end. A UID that is not greater than all others is ignored.
    pub fn append(&mut self, uid: u32) {
        if uid <= self.largest_uid() {
            return;
        }
        let first_sequence = self.exists() + 1;
        match self.runs.last_mut() {
            Some(run) if run.end_uid() == u64::from(uid) => run.length += 1,
            _ => self.runs.push(Run { first_uid: uid, length: 1, first_sequence }),
        }
    }

    /// The sequence number of a UID.
    pub fn sequence_of(&self, uid: u32) -> Option<u32> {
        let index = self.runs.partition_point(|run| run.end_uid() <= u64::from(uid));
        let run = self.runs.get(index)?;
        Some(run.first_sequence + uid.checked_sub(run.first_uid)?)
    }

    /// The UID of a sequence number.
    pub fn uid_of(&self, sequence: u32) -> Option<u32> {
        let index = self.runs.partition_point(|run| run.first_sequence + run.length <= sequence);
        let run = self.runs.get(index)?;
        Some(run.first_uid + sequence.checked_sub(run.first_sequence)?)
    }

    /// The messages with sequence numbers in these ascending ranges.
    pub fn by_sequence(&self, ranges: &[(u32, u32)]) -> Vec<MessageRef> {
        let exists = self.exists();
        let numbers = ranges.iter().flat_map(|&(first, last)| first.max(1)..=last.min(exists));
        numbers.filter_map(|sequence| Some(MessageRef { sequence, uid: self.uid_of(sequence)? })).collect()
    }

    /// The messages with UIDs in these ascending ranges; UIDs that are not there are passed over.
    pub fn by_uid(&self, ranges: &[(u32, u32)]) -> Vec<MessageRef> {
        let mut found = Vec::new();
        for &(first, last) in ranges {
            let from = self.runs.partition_point(|run| run.end_uid() <= u64::from(first));
            let runs = self.runs.get(from..).unwrap_or_default();
            for run in runs.iter().take_while(|run| run.first_uid <= last) {
                let start = first.max(run.first_uid);
                let end = u64::from(last).min(run.end_uid() - 1) as u32;
                found.extend(
                    (start..=end)
                        .map(|uid| MessageRef { sequence: run.first_sequence + (uid - run.first_uid), uid }),
                );
            }
        }
        found
    }

    /// All messages.
    pub fn all(&self) -> impl Iterator<Item = MessageRef> + '_ {
        self.runs.iter().flat_map(|run| {
            (0..run.length)
                .map(|at| MessageRef { sequence: run.first_sequence + at, uid: run.first_uid + at })
        })
    }

    /// Takes messages out, and gives for each the sequence number it has at the moment when it is announced:
    /// the earlier ones of the list are gone by then (RFC 9051 §7.5.1). `uids` must be ascending.
    pub fn remove(&mut self, uids: &[u32]) -> Vec<u32> {
        let sequences: Vec<u32> = uids.iter().filter_map(|&uid| self.sequence_of(uid)).collect();
        if sequences.is_empty() {
            return sequences;
        }
        *self = MessageView::new(
            self.all().map(|message| message.uid).filter(|uid| uids.binary_search(uid).is_err()),
        );
        (0..).zip(sequences).map(|(gone, sequence): (u32, u32)| sequence - gone).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_follow_removal() {
        let mut view = MessageView::new([1, 2, 3, 7, 8, u32::MAX]);
        assert_eq!((view.exists(), view.largest_uid()), (6, u32::MAX));
        assert_eq!(view.remove(&[2, 3, 5, 8]), [2, 2, 3]);
        assert_eq!(view.all().map(|message| message.uid).collect::<Vec<_>>(), [1, 7, u32::MAX]);
        assert_eq!(view.sequence_of(7), Some(2));
        assert_eq!(view.sequence_of(8), None);
        assert_eq!(view.uid_of(4), None);
        assert_eq!(view.uid_of(0), None);
    }

    proptest! {
        #[test]
        fn as_a_plain_list(
            uids in prop::collection::btree_set(1u32..60, 0..40),
            gone in prop::collection::btree_set(1u32..60, 0..20),
            first in 0u32..70, length in 0u32..70,
        ) {
            let mut list: Vec<u32> = uids.into_iter().collect();
            let gone: Vec<u32> = gone.into_iter().collect();
            let mut view = MessageView::new(list.iter().copied());
            let mut announced = Vec::new();
            for uid in &gone {
                if let Ok(index) = list.binary_search(uid) {
                    list.remove(index);
                    announced.push(index as u32 + 1);
                }
            }
            prop_assert_eq!(view.remove(&gone), announced);
            prop_assert_eq!(view.exists() as usize, list.len());
            let (low, high) = (first, first + length);
            let numbered: Vec<MessageRef> = (1..).zip(&list).map(|(sequence, &uid)| MessageRef { sequence, uid }).collect();
            let by_uid: Vec<_> = numbered.iter().copied().filter(|m| (low..=high).contains(&m.uid)).collect();
            prop_assert_eq!(view.by_uid(&[(low, high)]), by_uid);
            let by_sequence: Vec<_> = numbered.iter().copied().filter(|m| (low..=high).contains(&m.sequence)).collect();
            prop_assert_eq!(view.by_sequence(&[(low, high)]), by_sequence);
            for message in &numbered {
                prop_assert_eq!(view.sequence_of(message.uid), Some(message.sequence));
                prop_assert_eq!(view.uid_of(message.sequence), Some(message.uid));
            }
        }
    }
}
