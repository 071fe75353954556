//! Whether a server still agrees to TLS 1.0 or 1.1, which RFC 8996 forbids.
//!
//! In: a connection on which TLS may begin. Out: what the server says to a ClientHello of the old version (RFC 4346 §7.4.1.2).
//! Refused: nothing; no TLS library speaks these versions any more, so the one message is made here, and nothing is done with
//! a server that agrees but to say so.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(5);
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

/// A version that no server should agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OldVersion {
    /// RFC 2246.
    #[serde(rename = "TLS 1.0")]
    Tls10,
    /// RFC 4346.
    #[serde(rename = "TLS 1.1")]
    Tls11,
}

impl OldVersion {
    fn octets(self) -> [u8; 2] {
        match self {
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
        }
    }
}

/// Whether the server agrees to the version.
///
/// # Errors
/// As the system says, and `InvalidData` for what is neither an agreement nor a refusal. A server that closes without a
/// word refuses.
pub async fn agrees(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    version: OldVersion,
    host: &str,
) -> io::Result<bool> {
    let asking = async {
        stream.write_all(&client_hello(version, host)).await?;
        let mut record = [0; 6];
        match stream.read_exact(&mut record).await {
            Err(error) if is_an_end(error.kind()) => return Ok(false),
            heard => heard?,
        };
        match (record[0], record[5]) {
            (ALERT, _) => Ok(false),
            (HANDSHAKE, SERVER_HELLO) => chosen(stream, version).await,
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS comes back")),
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn is_an_end(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Behind the type of a ServerHello stand its length and the version that the server has chosen.
async fn chosen(stream: &mut (impl AsyncRead + Unpin), version: OldVersion) -> io::Result<bool> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    Ok(head[3..] == version.octets())
}

/// With the suites that servers of that time had, and the name that is asked for (RFC 6066 §3).
fn client_hello(version: OldVersion, host: &str) -> Vec<u8> {
    // ECDHE-RSA and ECDHE-ECDSA with AES-CBC and SHA-1, the same without ECDHE, and 3DES.
    const SUITES: [u8; 14] =
        [0xc0, 0x13, 0xc0, 0x14, 0xc0, 0x09, 0xc0, 0x0a, 0x00, 0x2f, 0x00, 0x35, 0x00, 0x0a];
    // supported_groups: P-256, P-384; ec_point_formats: uncompressed (RFC 4492 §5.1).
    const CURVES: [u8; 16] = [0, 10, 0, 6, 0, 4, 0, 23, 0, 24, 0, 11, 0, 2, 1, 0];
    let name = [&[0], &prefixed_16(host.as_bytes())[..]].concat();
    let name = prefixed_16(&name);
    let extensions = [&[0, 0], &prefixed_16(&name)[..], &CURVES].concat();
    let body =
        [&version.octets()[..], &[0x5a; 32], &[0], &prefixed_16(&SUITES), &[1, 0], &prefixed_16(&extensions)]
            .concat();
    let message = [&[1, 0], &prefixed_16(&body)[..]].concat();
    [&[HANDSHAKE, 3, 1], &prefixed_16(&message)[..]].concat()
}

/// Octets behind their number; all here are few.
fn prefixed_16(octets: &[u8]) -> Vec<u8> {
    let length = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], octets].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8]) -> io::Result<bool> {
        let (mut client, mut server) = tokio::io::duplex(4096);
        server.write_all(answer).await.expect("written");
        let outcome = agrees(&mut client, OldVersion::Tls11, "mail.home.example").await;
        drop(server);
        outcome
    }

    #[tokio::test]
    async fn agreement_refusal_and_nonsense_are_told_apart() {
        let hello = |minor| [22, 3, 2, 0, 42, 2, 0, 0, 38, 3, minor];
        assert!(answered(&hello(2)).await.expect("an answer"));
        assert!(!answered(&hello(3)).await.expect("an answer"), "the server has chosen another");
        assert!(!answered(&[21, 3, 1, 0, 2, 2, 70]).await.expect("an answer"));
        assert!(answered(b"220 mail.example ESMTP\r\n").await.is_err());
    }

    #[tokio::test]
    async fn who_closes_without_a_word_refuses() {
        let (mut client, server) = tokio::io::duplex(4096);
        drop(server);
        assert!(!agrees(&mut client, OldVersion::Tls10, "mail.home.example").await.unwrap_or(false));
    }

    /// The lengths of a message that no library here can read any more.
    #[test]
    fn the_hello_is_well_formed() {
        let hello = client_hello(OldVersion::Tls10, "mail.home.example");
        let number = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
        assert_eq!((&hello[..3], number(3) + 5), (&[22, 3, 1][..], hello.len()));
        assert_eq!((hello[5], number(7) + 9), (1, hello.len()));
        assert_eq!(&hello[9..11], &[3, 1]);
        let suites = 9 + 2 + 32 + 1;
        let extensions = suites + 2 + number(suites) + 2;
        assert_eq!(number(extensions) + extensions + 2, hello.len());
    }
}
