//! Datagrams gathered for one system call: equal lengths, one destination, lying one behind the other.
//!
//! In: datagrams that their maker writes into the batch itself ([`Batch::slot`]) and then commits ([`Batch::push`]). Out:
//! [`Datagrams`], in the order in which they came, each run as long as UDP segmentation offload (`UDP_SEGMENT`, udp(7))
//! takes: all datagrams of one length but the last, which may be shorter. A datagram that does not fit the run sends the
//! run on its way and begins another. No sockets here, and nothing is allocated after the start.

use super::core::BUFFER_OCTETS;
use super::ends::Ends;

/// The kernel's limit of segments in a call (UDP_MAX_SEGMENTS; 128 in newer kernels).
const MAX_SEGMENTS: usize = 64;

/// The octets of a run: the largest UDP payload, less some room for headers that a path may add.
const MAX_OCTETS: usize = 65_000;

/// A run of datagrams for one destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagrams<'a> {
    /// Where they go.
    pub to: Ends,
    /// One behind the other.
    pub octets: &'a [u8],
    /// The length of each in octets, but of the last, which may be shorter; never zero.
    pub segment: usize,
}

impl<'a> Datagrams<'a> {
    /// Whether there is only one.
    pub fn is_single(&self) -> bool {
        self.octets.len() <= self.segment
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.octets.chunks(self.segment)
    }
}

/// The run that is being gathered. Empty when `filled` is zero.
pub struct Batch {
    buffer: Box<[u8]>,
    to: Option<Ends>,
    filled: usize,
    segment: usize,
}

impl Batch {
    /// Makes an empty batch with all the memory that it will ever use: a full run, and one slot behind it.
    pub fn new() -> Self {
        let buffer = vec![0; MAX_OCTETS + BUFFER_OCTETS].into_boxed_slice();
        Self { buffer, to: None, filled: 0, segment: 0 }
    }

    /// Room for a datagram of at most `octets`, behind what is gathered.
    pub fn slot(&mut self, octets: usize) -> &mut [u8] {
        let end = (self.filled + octets).min(self.buffer.len());
        self.buffer.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Takes the first `octets` of the slot as the next datagram; `send` gets the runs that are complete by this.
    pub fn push(&mut self, to: Ends, octets: usize, mut send: impl FnMut(Datagrams<'_>)) {
        if octets == 0 {
            return;
        }
        if !self.takes(to, octets) {
            let slot = self.filled;
            self.flush(&mut send);
            self.buffer.copy_within(slot..slot + octets, 0);
        }
        if self.filled == 0 {
            (self.to, self.segment) = (Some(to), octets);
        }
        self.filled += octets;
        if self.is_full() {
            self.flush(send);
        }
    }

    /// Gives out what is gathered.
    pub fn flush(&mut self, mut send: impl FnMut(Datagrams<'_>)) {
        let filled = std::mem::take(&mut self.filled);
        if let (Some(to), Some(octets @ [_, ..])) = (self.to, self.buffer.get(..filled)) {
            send(Datagrams { to, octets, segment: self.segment });
        }
    }

    fn takes(&self, to: Ends, octets: usize) -> bool {
        self.filled == 0
            || (self.to == Some(to) && octets <= self.segment && self.filled + octets <= MAX_OCTETS)
    }

    /// A shorter datagram ends the run, and so do the kernel's limits.
    fn is_full(&self) -> bool {
        !self.filled.is_multiple_of(self.segment)
            || self.filled + self.segment > MAX_OCTETS
            || self.filled / self.segment >= MAX_SEGMENTS
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_hold_the_datagrams_in_order(sent in prop::collection::vec((0u16..3, 1usize..5, any::<u8>()), 0..400)) {
            let mut batch = Batch::new();
            let (mut given, mut runs) = (Vec::new(), 0);
            let mut out = |run: Datagrams<'_>| {
                runs += 1;
                assert!(run.octets.len() <= MAX_OCTETS && run.iter().count() <= MAX_SEGMENTS);
                assert!(run.octets.len() == run.segment || run.octets.len() > run.segment && !run.is_single());
                given.extend(run.iter().map(|datagram| (run.to, datagram.to_vec())));
            };
            let all: Vec<_> = sent.iter().map(|(to, length, fill)| {
                (Ends::from(SocketAddr::from(([192, 0, 2, 1], *to))), vec![*fill; length * 700])
            }).collect();
            for (to, datagram) in &all {
                batch.slot(datagram.len() + 32)[..datagram.len()].copy_from_slice(datagram);
                batch.push(*to, datagram.len(), &mut out);
            }
            batch.flush(&mut out);
            prop_assert_eq!(given, all);
        }
    }

    #[test]
    fn equal_datagrams_go_in_one_run() {
        let to = Ends::from(SocketAddr::from(([192, 0, 2, 1], 1)));
        let mut batch = Batch::new();
        let mut runs = Vec::new();
        for octets in [1400, 1400, 1400, 100, 1400] {
            batch.slot(1432);
            batch.push(to, octets, |run| runs.push((run.octets.len(), run.segment)));
        }
        batch.flush(|run| runs.push((run.octets.len(), run.segment)));
        assert_eq!(runs, [(4300, 1400), (1400, 1400)]);
    }
}
