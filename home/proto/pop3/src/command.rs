//! What a line means (RFC 1939 §9, RFC 2449 §5, RFC 2595 §4, RFC 5034 §4, RFC 6856 §2.1).
//!
//! In: a line. Out: a [`Command`]. Refused: unknown words, missing or superfluous arguments, numbers that are none.

use std::num::NonZeroU32;

use postern_sasl::Password;

/// A message's number in this session, from 1.
pub type MessageNumber = NonZeroU32;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// AUTH
    Auth {
        /// As the client wrote it.
        mechanism: String,
        /// In base64; `=` stands for an empty one.
        initial_response: Option<Vec<u8>>,
    },
    /// CAPA
    Capa,
    /// DELE
    Dele(MessageNumber),
    /// LIST, of one message or all
    List(Option<MessageNumber>),
    /// NOOP
    Noop,
    /// PASS
    Pass(Password),
    /// QUIT
    Quit,
    /// RETR
    Retr(MessageNumber),
    /// RSET
    Rset,
    /// STAT
    Stat,
    /// STLS
    Stls,
    /// TOP
    Top {
        /// The message.
        message: MessageNumber,
        /// Lines of the body.
        lines: u64,
    },
    /// UIDL, of one message or all
    Uidl(Option<MessageNumber>),
    /// USER
    User(String),
    /// UTF8
    Utf8,
}

/// Why a line is no command. The text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The first word is none of POP3's.
    #[error("unknown command")]
    Unknown,
    /// The arguments are not those of the command.
    #[error("{0}")]
    Syntax(&'static str),
}

const NO_ARGUMENT: CommandError = CommandError::Syntax("this command has no argument");
const ONE_MESSAGE: CommandError = CommandError::Syntax("expected a message number");

impl Command {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// Why it is no command.
    pub fn parse(line: &[u8]) -> Result<Command, CommandError> {
        // RFC 6856 §2.2: names and passwords that are not UTF-8 are refused.
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Syntax("expected UTF-8"))?;
        let (word, argument) = match line.split_once(' ') {
            Some((word, argument)) => (word, Some(argument)),
            None => (line, None),
        };
        match word.to_ascii_uppercase().as_str() {
            "AUTH" => auth(argument),
            "CAPA" => alone(argument, Command::Capa),
            "DELE" => Ok(Command::Dele(required(argument)?)),
            "LIST" => Ok(Command::List(optional(argument)?)),
            "NOOP" => alone(argument, Command::Noop),
            "PASS" => Ok(Command::Pass(Password::new(text(argument, "expected a password")?))),
            "QUIT" => alone(argument, Command::Quit),
            "RETR" => Ok(Command::Retr(required(argument)?)),
            "RSET" => alone(argument, Command::Rset),
            "STAT" => alone(argument, Command::Stat),
            "STLS" => alone(argument, Command::Stls),
            "TOP" => top(argument),
            "UIDL" => Ok(Command::Uidl(optional(argument)?)),
            "USER" => Ok(Command::User(text(argument, "expected a name")?)),
            "UTF8" => alone(argument, Command::Utf8),
            _ => Err(CommandError::Unknown),
        }
    }

    /// The line without its end.
    pub fn encode(&self) -> Vec<u8> {
        let number = |word: &str, message: Option<MessageNumber>| match message {
            Some(message) => format!("{word} {message}"),
            None => word.to_owned(),
        };
        let line = match self {
            Command::Auth { mechanism, initial_response: None } => format!("AUTH {mechanism}"),
            Command::Auth { mechanism, initial_response: Some(response) } => {
                format!("AUTH {mechanism} {}", String::from_utf8_lossy(response))
            }
            Command::Capa => "CAPA".to_owned(),
            Command::Dele(message) => number("DELE", Some(*message)),
            Command::List(message) => number("LIST", *message),
            Command::Noop => "NOOP".to_owned(),
            Command::Pass(password) => format!("PASS {}", password.expose()),
            Command::Quit => "QUIT".to_owned(),
            Command::Retr(message) => number("RETR", Some(*message)),
            Command::Rset => "RSET".to_owned(),
            Command::Stat => "STAT".to_owned(),
            Command::Stls => "STLS".to_owned(),
            Command::Top { message, lines } => format!("TOP {message} {lines}"),
            Command::Uidl(message) => number("UIDL", *message),
            Command::User(name) => format!("USER {name}"),
            Command::Utf8 => "UTF8".to_owned(),
        };
        line.into_bytes()
    }
}

fn alone(argument: Option<&str>, command: Command) -> Result<Command, CommandError> {
    match argument.unwrap_or_default().trim_ascii() {
        "" => Ok(command),
        _ => Err(NO_ARGUMENT),
    }
}

/// RFC 1939 §7 (PASS): spaces belong to the argument.
fn text(argument: Option<&str>, expected: &'static str) -> Result<String, CommandError> {
    match argument {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(CommandError::Syntax(expected)),
    }
}

fn optional(argument: Option<&str>) -> Result<Option<MessageNumber>, CommandError> {
    match argument.unwrap_or_default().trim_ascii() {
        "" => Ok(None),
        digits => number(digits).map(Some),
    }
}

fn required(argument: Option<&str>) -> Result<MessageNumber, CommandError> {
    optional(argument)?.ok_or(ONE_MESSAGE)
}

fn number(digits: &str) -> Result<MessageNumber, CommandError> {
    decimal(digits)
        .and_then(|number: u64| u32::try_from(number).ok())
        .and_then(NonZeroU32::new)
        .ok_or(ONE_MESSAGE)
}

fn decimal(digits: &str) -> Option<u64> {
    let are_digits = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    are_digits.then(|| digits.parse().ok()).flatten()
}

fn top(argument: Option<&str>) -> Result<Command, CommandError> {
    const EXPECTED: CommandError = CommandError::Syntax("expected a message number and a number of lines");
    let (message, lines) = argument.unwrap_or_default().trim_ascii().split_once(' ').ok_or(EXPECTED)?;
    let lines = decimal(lines.trim_ascii()).ok_or(EXPECTED)?;
    Ok(Command::Top { message: number(message).map_err(|_| EXPECTED)?, lines })
}

fn auth(argument: Option<&str>) -> Result<Command, CommandError> {
    let argument = text(argument, "expected the name of a mechanism")?;
    let (mechanism, response) = match argument.split_once(' ') {
        Some((mechanism, response)) => (mechanism, Some(response.as_bytes().to_vec())),
        None => (argument.as_str(), None),
    };
    Ok(Command::Auth { mechanism: mechanism.to_owned(), initial_response: response })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_meant() {
        let parsed = |line: &str| Command::parse(line.as_bytes());
        let one = NonZeroU32::MIN;
        assert_eq!(parsed("retr 1"), Ok(Command::Retr(one)));
        assert_eq!(parsed("LIST "), Ok(Command::List(None)));
        assert_eq!(parsed("Top 1 0"), Ok(Command::Top { message: one, lines: 0 }));
        assert_eq!(parsed("PASS  two spaces "), Ok(Command::Pass(Password::new(" two spaces ".to_owned()))));
        assert_eq!(parsed("RETR"), Err(ONE_MESSAGE));
        assert_eq!(parsed("DELE 0"), Err(ONE_MESSAGE));
        assert_eq!(parsed("DELE +1"), Err(ONE_MESSAGE));
        assert_eq!(parsed("DELE 99999999999999999999999"), Err(ONE_MESSAGE));
        assert_eq!(parsed("STAT 1"), Err(NO_ARGUMENT));
        assert_eq!(parsed("APOP ana c4c9334bac560ecc979e58001b3e22fb"), Err(CommandError::Unknown));
        assert_eq!(parsed(""), Err(CommandError::Unknown));
        assert_eq!(Command::parse(b"USER \xff"), Err(CommandError::Syntax("expected UTF-8")));
    }
}
