//! Sealed files opened into memory, as many as the machine can bear.
//!
//! A staged file that is not sealed is mapped, and costs no memory of its own. A sealed one is opened whole, because DKIM, the
//! parser and the compressor want it in one piece. Whatever would bring the sum above [`MOST`] is refused for now; the sender
//! tries again. One message alone is always opened, whatever its size.

use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Seal, StoredFile};

/// Octets of all messages that are open at once.
pub(super) const MOST: u64 = 256 * 1024 * 1024;

/// The octets of a sealed file.
#[derive(Debug)]
pub struct Opened {
    octets: Vec<u8>,
    _share: Share,
}

/// What one message counts towards the sum.
#[derive(Debug)]
struct Share {
    seal: Arc<Seal>,
    octets: u64,
}

impl Opened {
    /// Opens all of a file.
    ///
    /// # Errors
    /// `OutOfMemory` while too many others are open.
    pub(crate) fn of(file: &StoredFile, seal: &Arc<Seal>) -> io::Result<Opened> {
        let share = Share::take(seal, file.size()?)?;
        Ok(Opened { octets: file.read_all()?, _share: share })
    }
}

impl Deref for Opened {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.octets
    }
}

impl Share {
    fn take(seal: &Arc<Seal>, octets: u64) -> io::Result<Share> {
        let before = seal.opened().fetch_add(octets, Ordering::Relaxed);
        let share = Share { seal: Arc::clone(seal), octets };
        // A refused share gives back what it took, when it is dropped here.
        if before > 0 && before.saturating_add(octets) > MOST {
            Err(io::ErrorKind::OutOfMemory.into())
        } else {
            Ok(share)
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.seal.opened().fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_out_and_given_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = super::super::tests::sealed(directory.path());
        let seal = place.seal().expect("sealed");
        let large = Share::take(seal, 2 * MOST).expect("one alone");
        assert!(Share::take(seal, 1).is_err());
        drop(large);
        let first = Share::take(seal, MOST - 1).expect("the first");
        let second = Share::take(seal, 1).expect("the second");
        assert!(Share::take(seal, 1).is_err());
        drop((first, second));
        assert_eq!(seal.opened().load(Ordering::Relaxed), 0);
    }
}
