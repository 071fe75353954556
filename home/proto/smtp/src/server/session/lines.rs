//! Takes command lines from the input and hands each command to its file.

use zeroize::{Zeroize, Zeroizing};

use super::{Event, Phase, Refusal, Role, Session};
use crate::server::{
    command::Command,
    framer::{Line, take_line},
};

/// Most octets of a command line: 512 and what the extensions add (RFC 5321 §4.5.3.1.4), with room.
const COMMAND_LINE: usize = 2048;
/// Most octets of a line where AUTH is offered (RFC 4954 §4).
const AUTH_LINE: usize = 12_288;

impl Session {
    /// Takes one line; false when there is none yet.
    pub(super) fn take_line(&mut self) -> bool {
        if self.skipping_line {
            return self.skip_line();
        }
        let limit = match self.config.role {
            Role::Mta => COMMAND_LINE,
            Role::Msa => AUTH_LINE,
        };
        match take_line(&self.input, limit) {
            Line::Incomplete => false,
            Line::TooLong => {
                self.skipping_line = true;
                true
            }
            Line::BareLineEnd => {
                self.refuse(&Refusal::BareLineEndInCommand);
                true
            }
            Line::Complete { length, consumed } => {
                let line = self.consume_line(length, consumed);
                self.waiting_since = None;
                self.handle_line(&line);
                true
            }
        }
    }

    /// Moves a line out of the input; none of its octets stay behind, for it may carry a password.
    fn consume_line(&mut self, length: usize, consumed: usize) -> Zeroizing<Vec<u8>> {
        let line = Zeroizing::new(self.input.get(..length).unwrap_or_default().to_vec());
        self.input.get_mut(..consumed).unwrap_or_default().zeroize();
        self.input.drain(..consumed);
        line
    }

    /// Drops octets up to the CRLF that ends a line too long; a CR at the end may be half of it.
    fn skip_line(&mut self) -> bool {
        let end = self.input.windows(2).position(|pair| pair == b"\r\n");
        let Some(end) = end else {
            let keep = usize::from(self.input.last() == Some(&b'\r'));
            self.input.drain(..self.input.len() - keep);
            return false;
        };
        self.input.drain(..end + 2);
        self.skipping_line = false;
        self.waiting_since = None;
        match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Authenticating(_) => self.refuse(&Refusal::AuthenticationSyntax),
            _ => self.refuse(&Refusal::LineTooLong),
        }
        true
    }

    fn handle_line(&mut self, line: &[u8]) {
        match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Authenticating(exchange) => self.authentication_response(exchange, line),
            _ => match Command::parse(line) {
                Ok(command) => self.handle_command(command),
                Err(refusal) => self.refuse(&refusal),
            },
        }
    }

    fn handle_command(&mut self, command: Command<'_>) {
        match command {
            Command::Helo(name) => self.helo_command(name),
            Command::Ehlo(name) => self.ehlo_command(name),
            Command::StartTls => self.starttls_command(),
            Command::Auth { mechanism, initial_response } => self.auth_command(mechanism, initial_response),
            Command::Mail(reverse_path, parameters) => self.mail_command(reverse_path, parameters),
            Command::Rcpt(forward_path, parameters) => self.rcpt_command(forward_path, parameters),
            Command::Bdat(chunk) => self.bdat_command(chunk),
            Command::Data => self.data_command(),
            Command::Rset => self.rset_command(),
            Command::Noop => self.idle("2.0.0", 250, "ok"),
            Command::Help => self.idle("2.0.0", 214, "see RFC 5321"),
            // RFC 5321 §3.5.3: neither confirmed nor denied.
            Command::Vrfy => self.idle("2.5.2", 252, "cannot verify, but will take mail and try"),
            Command::Quit => self.quit_command(),
            Command::NotOffered => self.refuse(&Refusal::NotOffered),
            Command::Foreign => self.refuse(&Refusal::ForeignProtocol),
        }
    }

    fn rset_command(&mut self) {
        self.abort_transaction();
        self.idle("2.0.0", 250, "ok");
    }

    fn quit_command(&mut self) {
        self.accept(221, "2.0.0", "bye");
        self.close();
    }

    /// Answers a command that leads to nothing, and closes when there are too many.
    fn idle(&mut self, enhanced_status: &'static str, code: u16, text: &str) {
        self.accept(code, enhanced_status, text);
        self.count_idle_command();
    }

    pub(super) fn count_idle_command(&mut self) {
        self.idle_commands += 1;
        if self.idle_commands > self.config.limits.idle_commands {
            self.close_with(&Refusal::TooManyErrors);
        }
    }

    /// Tells the host of something that needs no answer.
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }
}
