//! One command line, parsed into a [`Command`].
//!
//! In: a line without its CRLF. Out: the command with typed arguments. Refused: lines that are not UTF-8 or have
//! control characters, unknown verbs, arguments that are missing, superfluous or malformed.
//!
//! Implements the grammar of RFC 5321 §4.1.1, RFC 1870 §5, RFC 3030 §2, RFC 3461 §4, RFC 4954 §4 and §5, RFC 6531 §3.

pub mod dsn;
pub mod parameters;
pub mod path;

use parameters::{MailParameters, RcptParameters};
use path::{ForwardPath, ReversePath};

use super::refusal::Refusal;

/// A command of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `HELO domain`.
    Helo(&'a str),
    /// `EHLO domain` or `EHLO [address]`.
    Ehlo(&'a str),
    /// `STARTTLS`.
    StartTls,
    /// `AUTH mechanism [initial-response]`.
    Auth {
        /// The mechanism's name as sent.
        mechanism: &'a str,
        /// Still in base64; `=` stands for the empty response.
        initial_response: Option<&'a str>,
    },
    /// `MAIL FROM:<path> [parameters]`.
    Mail(ReversePath, MailParameters),
    /// `RCPT TO:<path> [parameters]`.
    Rcpt(ForwardPath, RcptParameters),
    /// `DATA`.
    Data,
    /// `BDAT octets [LAST]`.
    Bdat(Chunk),
    /// `RSET`.
    Rset,
    /// `NOOP`, with or without text.
    Noop,
    /// `VRFY text`.
    Vrfy,
    /// `HELP`, with or without text.
    Help,
    /// `QUIT`.
    Quit,
    /// `EXPN` or `TURN`: known, not offered.
    NotOffered,
    /// The first line of another protocol.
    Foreign,
}

/// What BDAT says of the octets that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// How many there are.
    pub octets: u64,
    /// They end the message.
    pub last: bool,
}

impl<'a> Command<'a> {
    /// Parses one line.
    ///
    /// # Errors
    /// The reply's reason.
    pub fn parse(line: &'a [u8]) -> Result<Command<'a>, Refusal> {
        let line = std::str::from_utf8(line).map_err(|_| Refusal::Syntax("command is not UTF-8"))?;
        if line.chars().any(char::is_control) {
            return Err(Refusal::Syntax("command has a control character"));
        }
        let line = line.trim_end_matches(' ');
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let argument = argument.trim_start_matches(' ');
        match verb.to_ascii_uppercase().as_str() {
            "HELO" => client_name(argument).map(Command::Helo),
            "EHLO" => client_name(argument).map(Command::Ehlo),
            "STARTTLS" => without_argument(argument, Command::StartTls),
            "AUTH" => auth(argument),
            "MAIL" => mail(argument),
            "RCPT" => rcpt(argument),
            "DATA" => without_argument(argument, Command::Data),
            "BDAT" => bdat(argument),
            "RSET" => without_argument(argument, Command::Rset),
            "QUIT" => without_argument(argument, Command::Quit),
            "NOOP" => Ok(Command::Noop),
            "HELP" => Ok(Command::Help),
            "VRFY" if argument.is_empty() => Err(Refusal::Syntax("VRFY needs a name")),
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" | "TURN" => Ok(Command::NotOffered),
            "GET" | "POST" | "PUT" | "CONNECT" | "OPTIONS" => Ok(Command::Foreign),
            _ => Err(Refusal::UnknownCommand),
        }
    }
}

/// Clients misname themselves in every way, so any printable word is taken; what is made of it later (a trace
/// field, an SPF check) checks for itself.
fn client_name(argument: &str) -> Result<&str, Refusal> {
    let well_formed =
        (1..=255).contains(&argument.len()) && argument.bytes().all(|octet| octet.is_ascii_graphic());
    well_formed.then_some(argument).ok_or(Refusal::Syntax("needs one domain name or address literal"))
}

/// RFC 5321 §4.1.1: commands without arguments refuse them.
fn without_argument<'a>(argument: &str, command: Command<'a>) -> Result<Command<'a>, Refusal> {
    if argument.is_empty() { Ok(command) } else { Err(Refusal::Syntax("no argument expected")) }
}

fn auth(argument: &str) -> Result<Command<'_>, Refusal> {
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    match (words.next(), words.next(), words.next()) {
        (Some(mechanism), initial_response, None) => Ok(Command::Auth { mechanism, initial_response }),
        _ => Err(Refusal::Syntax("AUTH needs a mechanism")),
    }
}

fn mail(argument: &str) -> Result<Command<'_>, Refusal> {
    let rest = after_keyword(argument, "FROM:").ok_or(Refusal::Syntax("expected MAIL FROM:<address>"))?;
    let (path, is_ascii, parameters) = path::split(rest)?;
    let parameters = MailParameters::parse(parameters)?;
    if !is_ascii && !parameters.smtp_utf8 {
        return Err(Refusal::NeedsSmtpUtf8);
    }
    Ok(Command::Mail(ReversePath::parse(path)?, parameters))
}

fn rcpt(argument: &str) -> Result<Command<'_>, Refusal> {
    let rest = after_keyword(argument, "TO:").ok_or(Refusal::Syntax("expected RCPT TO:<address>"))?;
    let (path, _, parameters) = path::split(rest)?;
    let parameters = RcptParameters::parse(parameters)?;
    Ok(Command::Rcpt(ForwardPath::parse(path)?, parameters))
}

/// RFC 3030 §2. What follows a BDAT that is not understood cannot be told from commands, so it ends the session.
fn bdat(argument: &str) -> Result<Command<'_>, Refusal> {
    let (octets, last) = match argument.split_once(' ') {
        None => (argument, false),
        Some((octets, word)) if word.trim_start_matches(' ').eq_ignore_ascii_case("LAST") => (octets, true),
        Some(_) => return Err(Refusal::ChunkSyntax),
    };
    let octets = parameters::octets(octets).map_err(|_| Refusal::ChunkSyntax)?;
    Ok(Command::Bdat(Chunk { octets, last }))
}

fn after_keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = argument.split_at_checked(keyword.len())?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_in_any_case() {
        assert_eq!(Command::parse(b"ehlo mx.stranger.example"), Ok(Command::Ehlo("mx.stranger.example")));
        assert_eq!(Command::parse(b"Quit "), Ok(Command::Quit));
        assert_eq!(Command::parse(b"bdat 7 last"), Ok(Command::Bdat(Chunk { octets: 7, last: true })));
        assert_eq!(Command::parse(b"noop whatever"), Ok(Command::Noop));
        assert_eq!(
            Command::parse(b"auth plain ="),
            Ok(Command::Auth { mechanism: "plain", initial_response: Some("=") })
        );
    }

    #[test]
    fn refusals() {
        let refused: [(&[u8], Refusal); 13] = [
            (b"BDAT", Refusal::ChunkSyntax),
            (b"BDAT -1", Refusal::ChunkSyntax),
            (b"BDAT 1 FIRST", Refusal::ChunkSyntax),
            (b"BDAT 1 LAST LAST", Refusal::ChunkSyntax),
            (b"", Refusal::UnknownCommand),
            (b"EHLO", Refusal::Syntax("needs one domain name or address literal")),
            (b"EHLO a b", Refusal::Syntax("needs one domain name or address literal")),
            (b"DATA now", Refusal::Syntax("no argument expected")),
            (b"NOOP \xff", Refusal::Syntax("command is not UTF-8")),
            (b"NOOP \0", Refusal::Syntax("command has a control character")),
            (b"MAIL <a@b.example>", Refusal::Syntax("expected MAIL FROM:<address>")),
            (b"RCPT TO:<a@b.example> XNOTIFY=NEVER", Refusal::UnknownParameter),
            ("MAIL FROM:<jürgen@b.example>".as_bytes(), Refusal::NeedsSmtpUtf8),
        ];
        for (line, refusal) in refused {
            assert_eq!(Command::parse(line), Err(refusal), "{}", line.escape_ascii());
        }
    }
}
