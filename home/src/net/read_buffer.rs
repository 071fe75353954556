//! Where a connection's octets are read to: little memory while it idles, and much at once while it sends.

/// Octets while nothing much comes: the commands of a session that idles.
const LEAST: usize = 256;
/// Octets read at once, at most.
const MOST: usize = 16 * 1024;

/// The buffer of one connection.
#[derive(Debug)]
pub(super) struct ReadBuffer(Vec<u8>);

impl ReadBuffer {
    pub(super) fn new() -> ReadBuffer {
        ReadBuffer(vec![0; LEAST])
    }

    /// Where the next octets go.
    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The first `count` octets, which have been read.
    pub(super) fn filled(&self, count: usize) -> &[u8] {
        self.0.get(..count).unwrap_or_default()
    }

    /// Makes room for what is likely to come after `count` octets: more, where they filled it.
    pub(super) fn adapt(&mut self, count: usize) {
        if count == self.0.len() && count < MOST {
            self.0 = vec![0; count * 4];
        } else if count < LEAST && self.0.len() > LEAST {
            self.0 = vec![0; LEAST];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_follows_what_comes() {
        let mut buffer = ReadBuffer::new();
        let mut sizes = Vec::new();
        for count in [256, 1024, 4096, 16 * 1024, 16 * 1024, 5000, 80, 80] {
            buffer.adapt(count);
            sizes.push(buffer.space().len());
        }
        assert_eq!(sizes, [1024, 4096, MOST, MOST, MOST, MOST, LEAST, LEAST]);
    }
}
