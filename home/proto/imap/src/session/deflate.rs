//! COMPRESS=DEFLATE (RFC 4978): the layer between the session and its connection once both sides compress.
//!
//! In: octets as they came. They are inflated a piece at a time, and only when the session has used up what was inflated
//! before: input that inflates a thousandfold needs no more memory than any other. Out: each portion of output, deflated
//! and flushed, so that nothing of it waits for what comes later. Refused: what is no DEFLATE stream (RFC 1951), and one
//! that ends before the session leaves the layer (UNAUTHENTICATE, RFC 8437 §4.1).
//!
//! A compressor takes some 300 kB, so an idle session has none: it is made for the first output after a wait and goes with
//! the next wait. Raw DEFLATE has no header and each portion ends at an octet's border, so a new compressor may go on
//! where another one stopped. The decompressor stays, with the 32 KiB that the client may refer to.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::framer::Framer;

/// Octets that are inflated at once.
const PIECE: usize = 8 * 1024;

/// What a flush ends with: an empty stored block (RFC 1951 §3.2.4).
const FLUSH: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The client sent something that cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid compressed data")]
pub(super) struct Corrupt;

/// What lies between the session's octets and the connection's.
#[derive(Debug, Default)]
pub(super) struct Layer {
    direction: Direction,
    compressor: Option<Compress>,
}

#[derive(Debug, Default)]
enum Direction {
    /// Nothing.
    #[default]
    Clear,
    /// Both sides compress.
    Deflated(Inflater),
    /// This side has stopped; what the client compressed has not come to its end.
    Ending(Inflater),
}

#[derive(Debug)]
struct Inflater {
    decompress: Decompress,
    /// Not inflated yet.
    input: Vec<u8>,
    /// The last octets that were inflated.
    last: [u8; 4],
}

impl Layer {
    /// Both sides compress from now on. What the client sent ahead belongs to the compressed stream.
    pub(super) fn begin(&mut self, framer: &mut Framer) {
        self.direction = Direction::Deflated(Inflater {
            decompress: Decompress::new(false),
            input: framer.take_rest(),
            last: [0; 4],
        });
    }

    /// This side compresses no more; the client stopped with the command that said so.
    pub(super) fn end(&mut self, framer: &mut Framer) {
        self.compressor = None;
        if let Direction::Deflated(inflater) = std::mem::take(&mut self.direction) {
            self.direction = Direction::Ending(inflater);
            self.skip_to_the_end(framer);
        }
    }

    /// Takes octets from the connection.
    pub(super) fn push(&mut self, octets: &[u8], framer: &mut Framer) {
        match &mut self.direction {
            Direction::Clear => framer.push(octets),
            Direction::Deflated(inflater) => inflater.input.extend_from_slice(octets),
            Direction::Ending(inflater) => {
                inflater.input.extend_from_slice(octets);
                self.skip_to_the_end(framer);
            }
        }
    }

    /// Inflates a piece of what is there; tells whether there was anything.
    ///
    /// # Errors
    /// The connection must be closed.
    pub(super) fn inflate(&mut self, framer: &mut Framer) -> Result<bool, Corrupt> {
        let Direction::Deflated(inflater) = &mut self.direction else {
            return Ok(false);
        };
        let mut piece = Vec::with_capacity(PIECE);
        let consumed = inflater.step(&mut piece)?;
        framer.push(&piece);
        Ok(consumed > 0 || !piece.is_empty())
    }

    /// The octets for the connection.
    pub(super) fn deflate(&mut self, octets: Vec<u8>) -> Vec<u8> {
        match self.direction {
            Direction::Clear | Direction::Ending(_) => octets,
            Direction::Deflated(_) => {
                let compressor =
                    self.compressor.get_or_insert_with(|| Compress::new(Compression::fast(), false));
                flushed(compressor, &octets)
            }
        }
    }

    /// The session waits: lets go of what it can make again.
    pub(super) fn rest(&mut self) {
        self.compressor = None;
        if let Direction::Deflated(Inflater { input, .. }) = &mut self.direction {
            input.shrink_to_fit();
        }
    }

    /// Passes over what is left of the client's last flush; what follows is in clear.
    fn skip_to_the_end(&mut self, framer: &mut Framer) {
        let Direction::Ending(inflater) = &mut self.direction else { return };
        let at = inflater.end_of_flush();
        if inflater.last == FLUSH || at.is_some() {
            let clear = inflater.input.split_off(at.unwrap_or_default());
            self.direction = Direction::Clear;
            framer.push(&clear);
        }
    }
}

impl Inflater {
    /// Inflates into the room of `piece`, not beyond the next flush; gives how many octets that took.
    fn step(&mut self, piece: &mut Vec<u8>) -> Result<usize, Corrupt> {
        let end = self.end_of_flush().unwrap_or(self.input.len());
        let offered = self.input.get(..end).unwrap_or_default();
        let before = self.decompress.total_in();
        let status = self.decompress.decompress_vec(offered, piece, FlushDecompress::None);
        let consumed = usize::try_from(self.decompress.total_in() - before).map_err(|_| Corrupt)?;
        match status {
            Ok(Status::Ok | Status::BufError) => {}
            Ok(Status::StreamEnd) | Err(_) => return Err(Corrupt),
        }
        for octet in self.input.drain(..consumed) {
            self.last.rotate_left(1);
            self.last[3] = octet;
        }
        Ok(consumed)
    }

    /// Where the next flush of the client ends in what is there; one may have begun in what was there before.
    fn end_of_flush(&self) -> Option<usize> {
        let mut last = self.last;
        self.input
            .iter()
            .position(|&octet| {
                last.rotate_left(1);
                last[3] = octet;
                last == FLUSH
            })
            .map(|at| at + 1)
    }
}

/// Deflates, and flushes to an octet's border.
fn flushed(compressor: &mut Compress, octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 2 + 64);
    let begun = compressor.total_in();
    loop {
        let taken = usize::try_from(compressor.total_in() - begun).unwrap_or(usize::MAX);
        let rest = octets.get(taken..).unwrap_or_default();
        compressor
            .compress_vec(rest, &mut out, FlushCompress::Sync)
            .expect("a stream that is never finished takes input");
        // Room that was left means that nothing waits inside.
        if out.len() < out.capacity() {
            return out;
        }
        out.reserve(out.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inflated(decompress: &mut Decompress, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 << 20);
        decompress.decompress_vec(octets, &mut out, FlushDecompress::Sync).unwrap();
        out
    }

    fn layer() -> (Layer, Framer) {
        let (mut layer, mut framer) = (Layer::default(), Framer::new(1 << 20));
        layer.begin(&mut framer);
        (layer, framer)
    }

    /// Everything that a client sent as one line.
    fn line(layer: &mut Layer, framer: &mut Framer) -> Vec<u8> {
        while layer.inflate(framer).unwrap() {}
        framer.next_line(1 << 20).unwrap().unwrap()
    }

    #[test]
    fn every_portion_can_be_read_at_once_whatever_compressor_made_it() {
        let (mut layer, _) = layer();
        let mut client = Decompress::new(false);
        for text in ["* OK one\r\n", "* OK one and one\r\n", ""] {
            let portion = layer.deflate(text.as_bytes().to_vec());
            assert_eq!(inflated(&mut client, &portion), text.as_bytes());
            let portion = layer.deflate(text.as_bytes().to_vec());
            assert_eq!(inflated(&mut client, &portion), text.as_bytes());
            layer.rest();
            assert!(layer.compressor.is_none());
        }
    }

    #[test]
    fn a_bomb_is_inflated_by_pieces() {
        let (mut layer, mut framer) = layer();
        let mut client = Compress::new(Compression::best(), false);
        layer.push(&flushed(&mut client, &vec![b'x'; 16 << 20]), &mut framer);
        assert!(layer.inflate(&mut framer).unwrap());
        assert!(framer.buffered() <= PIECE);
    }

    #[test]
    fn what_is_no_stream_and_what_ends_is_refused() {
        let (mut layer, mut framer) = self::layer();
        layer.push(b"a NOOP\r\n in clear, which is no block", &mut framer);
        assert_eq!(
            std::iter::repeat_with(|| layer.inflate(&mut framer)).find(|step| *step != Ok(true)),
            Some(Err(Corrupt))
        );
        let (mut layer, mut framer) = self::layer();
        layer.push(&[0x03, 0x00], &mut framer);
        assert_eq!(layer.inflate(&mut framer), Err(Corrupt));
    }

    proptest! {
        #[test]
        fn what_is_deflated_comes_out_however_it_is_cut(
            texts in prop::collection::vec("[a-c ]{0,300}", 1..8), cut in 1usize..40,
        ) {
            let (mut layer, mut framer) = self::layer();
            let mut client = Compress::new(Compression::default(), false);
            let mut octets = Vec::new();
            for text in &texts {
                octets.extend(flushed(&mut client, format!("{text}\r\n").as_bytes()));
            }
            octets.chunks(cut).for_each(|piece| layer.push(piece, &mut framer));
            for text in &texts {
                prop_assert_eq!(line(&mut layer, &mut framer), text.as_bytes());
            }
        }

        #[test]
        fn after_its_end_the_rest_is_clear_however_it_is_cut(cut in 1usize..40, ahead in 0usize..60) {
            let (mut layer, mut framer) = self::layer();
            let mut client = Compress::new(Compression::default(), false);
            let mut octets = flushed(&mut client, b"a UNAUTHENTICATE\r\n");
            octets.extend_from_slice(b"b LOGIN ana secret\r\n");
            let (before, after) = octets.split_at(ahead.min(octets.len()));
            before.chunks(cut).for_each(|piece| layer.push(piece, &mut framer));
            let mut after = after.chunks(cut);
            let first = loop {
                if let Some(line) = framer.next_line(100).unwrap() {
                    break line;
                }
                if !layer.inflate(&mut framer).unwrap() {
                    layer.push(after.next().unwrap(), &mut framer);
                }
            };
            prop_assert_eq!(first, b"a UNAUTHENTICATE");
            layer.end(&mut framer);
            after.for_each(|piece| layer.push(piece, &mut framer));
            prop_assert_eq!(framer.next_line(100).unwrap().unwrap(), b"b LOGIN ana secret");
        }

        #[test]
        fn random_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut layer, mut framer) = self::layer();
            layer.push(&octets, &mut framer);
            while let Ok(true) = layer.inflate(&mut framer) {}
        }
    }
}
