//! How long the client waits for the server (RFC 5321 §4.5.3.2).

use std::time::Duration;

/// For the 220 greeting (§4.5.3.2.1).
pub const GREETING: Duration = Duration::from_secs(5 * 60);
/// For the reply to EHLO, HELO, STARTTLS, RSET; the RFC names none, so that of MAIL.
pub const COMMAND: Duration = Duration::from_secs(5 * 60);
/// For the reply to MAIL (§4.5.3.2.2) and RCPT (§4.5.3.2.3).
pub const ENVELOPE: Duration = Duration::from_secs(5 * 60);
/// For the 354 after DATA (§4.5.3.2.4).
pub const DATA_INITIATION: Duration = Duration::from_secs(2 * 60);
/// For the network to take a chunk of the content (§4.5.3.2.5).
pub const DATA_BLOCK: Duration = Duration::from_secs(3 * 60);
/// For the reply after the final period (§4.5.3.2.6). Shorter ones make duplicates (RFC 1047).
pub const DATA_TERMINATION: Duration = Duration::from_secs(10 * 60);
/// For the TLS handshake.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(60);
/// For the reply to QUIT; nothing depends on it.
pub const QUIT: Duration = Duration::from_secs(5);
