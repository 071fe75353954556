//! A message on its way from the session to its final form.
//!
//! In: chunks. Out: the message as it came, staged; then its final form, staged again with our fields before it
//! and without the fields that must go. Both are in memory when small and in a file when large; a large one is
//! copied from its map, never through the heap. Refused: a header section over [`MAX_HEADER`] octets.

use postern_message::header::{self, HeaderField};
use postern_smtp::server::Refusal;
use postern_store::{StagedMessage, Staging, Store, stage::INLINE_LIMIT};
use tokio::task::block_in_place;

use super::failure;

/// Most octets of a header section.
pub const MAX_HEADER: usize = 256 * 1024;
/// Octets copied at once.
const COPY_OCTETS: usize = 256 * 1024;

/// A message being received. A storage error on the way is kept until the message has ended, because the client
/// only listens then.
#[derive(Debug)]
pub struct Incoming(Result<Staging, Refusal>);

impl Incoming {
    /// Begins.
    pub fn new(store: &Store) -> Incoming {
        Incoming(Ok(store.stage()))
    }

    /// Takes a chunk.
    pub fn write(&mut self, chunk: &[u8]) {
        let Ok(staging) = &mut self.0 else { return };
        // Beyond this size it is a file, and a slow disk must not hold up the other sessions of this thread.
        let outcome = match staging.size() < INLINE_LIMIT as u64 {
            true => staging.write(chunk),
            false => block_in_place(|| staging.write(chunk)),
        };
        if let Err(error) = outcome {
            self.0 = Err(failure::refusal(&error));
        }
    }

    /// Ends.
    ///
    /// # Errors
    /// The refusal that is due.
    pub fn finish(self) -> Result<StagedMessage, Refusal> {
        let staged = self.0?.finish().map_err(|error| failure::refusal(&error))?;
        let bytes = staged.bytes().map_err(|error| failure::refusal(&error))?;
        if header::header_length(&bytes) > MAX_HEADER {
            return Err(Refusal::HeaderTooBig);
        }
        drop(bytes);
        Ok(staged)
    }
}

/// Stages `message` again with `prefix` before it and without the header fields that `drop_field` names. Blocks.
///
/// # Errors
/// The refusal that a storage error deserves.
pub fn compose(
    store: &Store,
    prefix: &[u8],
    message: &[u8],
    drop_field: impl Fn(&HeaderField<'_>) -> bool,
) -> Result<StagedMessage, Refusal> {
    let mut staging = store.stage();
    let mut write = |octets: &[u8]| staging.write(octets).map_err(|error| failure::refusal(&error));
    write(prefix)?;
    for field in header::fields(message).filter(|field| !drop_field(field)) {
        write(field.raw)?;
    }
    let body = message.get(header::header_length(message)..).unwrap_or_default();
    body.chunks(COPY_OCTETS).try_for_each(write)?;
    staging.finish().map_err(|error| failure::refusal(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_fields_and_body_are_joined() {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let store = Store::open(state_dir.path()).expect("store");
        let message = b"A: 1\r\nBcc: x,\r\n y\r\nC: 2\r\n\r\nbody\r\n";
        let staged = compose(&store, b"P: 0\r\n", message, |field| field.is("bcc")).expect("composed");
        assert_eq!(&*staged.bytes().expect("octets"), b"P: 0\r\nA: 1\r\nC: 2\r\n\r\nbody\r\n");
    }

    #[test]
    fn a_header_without_end_is_refused() {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let mut incoming = Incoming::new(&Store::open(state_dir.path()).expect("store"));
        for _ in 0..MAX_HEADER / 8 {
            incoming.write(b"A: 1234\r\n");
        }
        assert_eq!(incoming.finish().err(), Some(Refusal::HeaderTooBig));
    }
}
