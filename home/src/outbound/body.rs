//! A queued message's octets on their way out: the prepended header fields, then the file, in chunks.

use std::io::{self, Read};

use postern_store::queue::{QueuedContent, StoredReader};

/// Octets in one chunk.
const CHUNK_OCTETS: usize = 64 * 1024;
/// Most octets of a header section that a report returns.
const HEADER_OCTETS_MAX: u64 = 64 * 1024;

/// The content of one message.
#[derive(Debug)]
pub struct Body {
    prepend: Vec<u8>,
    file: Option<StoredReader>,
    ascii: bool,
}

impl Body {
    /// Takes the content and looks through it for octets above 127. Blocks for as long as reading takes.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn open(content: QueuedContent) -> io::Result<Body> {
        let QueuedContent { prepend, mut file } = content;
        let ascii = prepend.is_ascii() && file_is_ascii(&mut file)?;
        file.rewind();
        Ok(Body { prepend, file: Some(file), ascii })
    }

    /// Whether no octet is above 127.
    pub fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The next chunk, or `None` after the last one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.prepend.is_empty() {
            return Ok(Some(std::mem::take(&mut self.prepend)));
        }
        let mut file = self.file.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK_OCTETS);
            (&mut file).take(CHUNK_OCTETS as u64).read_to_end(&mut chunk)?;
            io::Result::Ok((file, chunk))
        });
        let (file, chunk) = read.await.map_err(io::Error::other)??;
        self.file = Some(file);
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    }
}

fn file_is_ascii(file: &mut StoredReader) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_OCTETS];
    loop {
        let octets = file.read(&mut chunk)?;
        match chunk.get(..octets) {
            None | Some([]) => return Ok(true),
            Some(part) if !part.is_ascii() => return Ok(false),
            Some(_) => {}
        }
    }
}

/// The message's header section with its line ends, for reports; blocks.
///
/// # Errors
/// Where the file cannot be read.
pub fn header_section(content: QueuedContent) -> io::Result<Vec<u8>> {
    let QueuedContent { prepend: mut header, file } = content;
    file.take(HEADER_OCTETS_MAX).read_to_end(&mut header)?;
    let end = header.windows(4).position(|octets| octets == b"\r\n\r\n").map(|at| at + 2);
    let last_line = || header.iter().rposition(|octet| *octet == b'\n').map_or(0, |at| at + 1);
    let end = end.unwrap_or_else(last_line);
    header.truncate(end);
    Ok(header)
}

/// The whole message; blocks.
///
/// # Errors
/// Where the file cannot be read.
pub fn whole(content: QueuedContent) -> io::Result<Vec<u8>> {
    let QueuedContent { prepend: mut message, mut file } = content;
    file.read_to_end(&mut message)?;
    Ok(message)
}
