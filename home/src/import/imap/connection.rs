//! A connection to somebody else's IMAP server, as a client.
//!
//! In: a server, a login, commands. Out: responses; a message's body goes to a staging file as it comes. Refused: a server
//! whose certificate is not for its name or of no trusted authority, one without TLS, responses above [`RESPONSE_MAX`] octets (a
//! body has its own limit), octets behind STARTTLS that came before TLS began. RFC 9051, RFC 8314, RFC 4959 (SASL-IR), XOAUTH2 as
//! Google and Microsoft speak it. Blocking: each connection has a thread.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_sasl::Password;
use postern_sasl::client::{ClientExchange, ClientMechanism, Login};
use postern_store::{Staging, Store};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde::{Deserialize, Serialize};

use super::value::literal_size;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A server that is silent for longer is gone.
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// Octets of a response without a body.
const RESPONSE_MAX: usize = 1024 * 1024;
/// Octets of a message; nobody's server takes larger ones.
const MESSAGE_MAX: u64 = 1024 * 1024 * 1024;

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// With the first octet (port 993).
    Tls,
    /// After STARTTLS (port 143).
    StartTls,
}

/// Which server, and who logs in there.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its name, which its certificate must be for.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub security: Security,
    /// The user name there.
    pub login: String,
    /// What proves it.
    pub secret: Secret,
}

/// What proves who logs in.
#[derive(Debug, Clone)]
pub enum Secret {
    /// A password, or one for this purpose only ("app password").
    Password(Password),
    /// An OAuth 2.0 access token.
    Token(Password),
}

/// Why a server gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The connection cannot be made or broke off: it may be better later.
    #[error("{0}")]
    Lost(#[from] io::Error),
    /// The server will not.
    #[error("{0}")]
    Refused(String),
    /// Our own store.
    #[error("{0}")]
    Store(#[from] postern_store::Error),
    /// The person has stopped it.
    #[error("stopped")]
    Stopped,
}

/// One response of the server.
pub(super) struct Response {
    /// Without its line end, small literals inside, a body's literal as `""`.
    pub(super) line: Vec<u8>,
    /// The body of a FETCH.
    pub(super) body: Option<Staging>,
}

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// A connection that is logged in.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Duplex>>,
    tags: u32,
    capabilities: Vec<String>,
}

impl Connection {
    /// Connects, begins TLS and logs in.
    pub(super) fn open(server: &Server, tls: &Arc<ClientConfig>) -> Result<Connection, Trouble> {
        let tcp = dial(&server.host, server.port)?;
        let mut connection = match server.security {
            Security::Tls => {
                let mut connection = Connection::over(Box::new(handshake(tcp, server, tls)?));
                connection.greeting()?;
                connection
            }
            Security::StartTls => {
                let mut clear = Connection::over(Box::new(tcp.try_clone()?));
                clear.greeting()?;
                clear.command("STARTTLS", |_| Ok(()))?;
                // What came before TLS began is anybody's (the STARTTLS injection of 2011).
                if !clear.stream.buffer().is_empty() {
                    return Err(Trouble::Refused("the server spoke on after STARTTLS in clear".to_owned()));
                }
                Connection::over(Box::new(handshake(tcp, server, tls)?))
            }
        };
        connection.read_capabilities()?;
        connection.log_in(server)?;
        // Most servers can do more for those they know.
        connection.read_capabilities()?;
        Ok(connection)
    }

    fn over(stream: Box<dyn Duplex>) -> Connection {
        Connection { stream: BufReader::with_capacity(64 * 1024, stream), tags: 0, capabilities: Vec::new() }
    }

    fn greeting(&mut self) -> Result<(), Trouble> {
        let response = self.response(None)?;
        match response.line.starts_with(b"* OK") {
            true => Ok(()),
            false => Err(Trouble::Refused(shown(&response.line))),
        }
    }

    fn read_capabilities(&mut self) -> Result<(), Trouble> {
        let mut found = Vec::new();
        self.command("CAPABILITY", |response| {
            let line = String::from_utf8_lossy(&response.line).to_ascii_uppercase();
            if let Some(names) = line.strip_prefix("* CAPABILITY ") {
                found = names.split_ascii_whitespace().map(str::to_owned).collect();
            }
            Ok(())
        })?;
        self.capabilities = found;
        Ok(())
    }

    /// Whether the server says that it can do this.
    pub(super) fn can(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|known| known == capability)
    }

    fn log_in(&mut self, server: &Server) -> Result<(), Trouble> {
        let password = match &server.secret {
            Secret::Token(token) => {
                let response = format!("user={}\x01auth=Bearer {}\x01\x01", server.login, token.expose());
                return self.authenticate("XOAUTH2", Some(response.into_bytes()), |_| Ok(Vec::new()));
            }
            Secret::Password(password) => password.clone(),
        };
        let offered: Vec<&str> =
            self.capabilities.iter().filter_map(|known| known.strip_prefix("AUTH=")).collect();
        let login = Login {
            name: server.login.clone(),
            password: password.clone(),
            nonce: crate::outbound::chance::unique(),
        };
        let Some(mechanism) = ClientMechanism::strongest(offered) else {
            let login = format!("LOGIN {} {}", quoted(&server.login)?, quoted(password.expose())?);
            return self.command(&login, |_| Ok(()));
        };
        let mut exchange = ClientExchange::new(mechanism, login);
        let initial = exchange.initial().map(|octets| octets.to_vec());
        self.authenticate(mechanism.name(), initial, |challenge| {
            let response = exchange.respond(challenge);
            response.map(|octets| octets.to_vec()).map_err(|error| Trouble::Refused(error.to_string()))
        })
    }

    /// AUTHENTICATE; the initial response waits for the server where it does not take it at once.
    fn authenticate(
        &mut self,
        mechanism: &str,
        initial: Option<Vec<u8>>,
        mut respond: impl FnMut(&[u8]) -> Result<Vec<u8>, Trouble>,
    ) -> Result<(), Trouble> {
        let (now, mut later) = match self.can("SASL-IR") {
            true => (initial, None),
            false => (None, initial),
        };
        let now = now.map(|octets| format!(" {}", BASE64.encode(octets))).unwrap_or_default();
        let tag = self.send(&format!("AUTHENTICATE {mechanism}{now}"))?;
        loop {
            let response = self.response(None)?;
            if let Some(challenge) = response.line.strip_prefix(b"+") {
                let challenge = BASE64.decode(challenge.trim_ascii()).unwrap_or_default();
                let answer = match later.take() {
                    Some(initial) => initial,
                    None => respond(&challenge)?,
                };
                self.write(format!("{}\r\n", BASE64.encode(answer)).as_bytes())?;
            } else if let Some(outcome) = outcome(&tag, &response.line) {
                return outcome;
            }
        }
    }

    /// Carries out a command; every untagged response goes to `take`.
    pub(super) fn command(
        &mut self,
        command: &str,
        take: impl FnMut(Response) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        self.fetch(command, None, take)
    }

    /// The same, for a command whose bodies are staged in `store`.
    pub(super) fn fetch(
        &mut self,
        command: &str,
        store: Option<&Store>,
        mut take: impl FnMut(Response) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let tag = self.send(command)?;
        loop {
            let response = self.response(store)?;
            match outcome(&tag, &response.line) {
                Some(outcome) => return outcome,
                None if response.line.starts_with(b"* BYE") => {
                    return Err(io::Error::other(shown(&response.line)).into());
                }
                None => take(response)?,
            }
        }
    }

    fn send(&mut self, command: &str) -> Result<String, Trouble> {
        self.tags += 1;
        let tag = format!("a{}", self.tags);
        self.write(format!("{tag} {command}\r\n").as_bytes())?;
        Ok(tag)
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        let stream = self.stream.get_mut();
        Ok(stream.write_all(octets).and_then(|()| stream.flush())?)
    }

    fn response(&mut self, store: Option<&Store>) -> Result<Response, Trouble> {
        let mut response = Response { line: Vec::new(), body: None };
        loop {
            let begin = response.line.len();
            let free = RESPONSE_MAX.saturating_sub(begin) as u64;
            self.stream.by_ref().take(free).read_until(b'\n', &mut response.line)?;
            if !response.line.ends_with(b"\n") {
                return Err(match free {
                    0 => Trouble::Refused("a response of the server is too long".to_owned()),
                    _ => io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                });
            }
            let end = response.line.trim_ascii_end().len();
            let line = response.line.get(begin..end).unwrap_or_default();
            let Some(size) = literal_size(line) else {
                response.line.truncate(end);
                return Ok(response);
            };
            let (is_body, header) = (is_body(line), line.iter().rposition(|octet| *octet == b'{'));
            match (store, is_body) {
                (Some(store), true) if size <= MESSAGE_MAX => {
                    response.line.truncate(begin + header.unwrap_or_default());
                    response.line.extend_from_slice(b"\"\"");
                    response.body = Some(self.stage(store, size)?);
                }
                _ if size <= free => self.collect(size, &mut response.line)?,
                _ => return Err(Trouble::Refused("a literal of the server is too long".to_owned())),
            }
        }
    }

    fn stage(&mut self, store: &Store, size: u64) -> Result<Staging, Trouble> {
        let (mut staging, mut left) = (store.stage(), size);
        while left > 0 {
            let piece = self.stream.fill_buf()?;
            if piece.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let taken = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            staging.write(piece.get(..taken).unwrap_or_default())?;
            self.stream.consume(taken);
            left -= taken as u64;
        }
        Ok(staging)
    }

    fn collect(&mut self, size: u64, line: &mut Vec<u8>) -> Result<(), Trouble> {
        match self.stream.by_ref().take(size).read_to_end(line)? as u64 == size {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::other(format!("{host}: the name has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(tcp) => {
                tcp.set_read_timeout(Some(SILENCE_MAX))?;
                tcp.set_write_timeout(Some(SILENCE_MAX))?;
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn handshake(
    mut tcp: TcpStream,
    server: &Server,
    tls: &Arc<ClientConfig>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Trouble> {
    let refused = |error: &dyn std::fmt::Display| Trouble::Refused(format!("TLS: {error}"));
    let name = ServerName::try_from(server.host.clone()).map_err(|error| refused(&error))?;
    let mut connection = ClientConnection::new(tls.clone(), name).map_err(|error| refused(&error))?;
    // A certificate that is not believed will not be believed at the next attempt either.
    connection.complete_io(&mut tcp).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => refused(&error),
        _ => Trouble::Lost(error),
    })?;
    Ok(StreamOwned::new(connection, tcp))
}

/// Whether the literal that ends this line is a whole message.
fn is_body(line: &[u8]) -> bool {
    let item =
        line.iter().rposition(|octet| *octet == b'{').and_then(|at| line.get(..at)).unwrap_or_default();
    item.trim_ascii_end().to_ascii_uppercase().ends_with(b"BODY[]")
}

/// How a command with this tag ended, if this is its end.
fn outcome(tag: &str, line: &[u8]) -> Option<Result<(), Trouble>> {
    let text = line.strip_prefix(tag.as_bytes())?.strip_prefix(b" ")?;
    Some(match text.get(..2).is_some_and(|status| status.eq_ignore_ascii_case(b"OK")) {
        true => Ok(()),
        false => Err(Trouble::Refused(shown(text))),
    })
}

/// What a server said, for people: one line without control characters.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|character| !character.is_control()).take(300).collect()
}

/// A quoted string (RFC 9051 §4.3).
pub(super) fn quoted(text: &str) -> Result<String, Trouble> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(Trouble::Refused("a name or password with a line end in it cannot be sent".to_owned()));
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert!(is_body(b"* 1 FETCH (UID 1 BODY[] {12}") && is_body(b" body[] {1}"));
        assert!(!is_body(b"* 1 FETCH (X-GM-LABELS ({12}"));
        assert!(outcome("a1", b"a1 ok done").is_some_and(|outcome| outcome.is_ok()));
        assert!(outcome("a1", b"a1 NO [AUTHENTICATIONFAILED] no").is_some_and(|outcome| outcome.is_err()));
        assert!(outcome("a1", b"a11 OK done").is_none());
        assert_eq!(quoted("a\"b\\").expect("text"), "\"a\\\"b\\\\\"");
        assert!(quoted("a\r\nb LOGOUT").is_err());
    }
}
