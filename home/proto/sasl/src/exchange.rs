//! One authentication exchange, whatever its mechanism.
//!
//! | state | `respond` | answer | leads to |
//! |---|---|---|---|
//! | `PlainMessage` | the message | | `PlainAsked` with [`Question::Password`] |
//! | `PlainAsked` | | `password_verdict` | success or failure |
//! | `LoginName` | the user's name | | `LoginPassword` with a challenge |
//! | `LoginPassword` | the password | | `PlainAsked` with [`Question::Password`] |
//! | `ScramFirst` | client-first-message | | `ScramAsked` with [`Question::ScramKeys`] |
//! | `ScramAsked` | | `scram_credentials` | `ScramFinal` with the server-first-message |
//! | `ScramFinal` | client-final-message | | `ScramConfirm` with the server-final-message |
//! | `ScramConfirm` | the empty response | | success |
//! | `Over` | | | [`Failure::OutOfOrder`] |

use crate::{
    ChannelBindings, Mechanism, Password, ScramCredentials,
    plain::PlainMessage,
    scram::{ClientFirst, ServerFirst},
};

/// Longest response accepted, in octets after base64 decoding (RFC 4954 §4 lets a server choose one).
pub const MAX_RESPONSE: usize = 4096;

/// The server's side of one exchange.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    PlainMessage,
    PlainAsked { login: String },
    LoginName,
    LoginPassword { login: String },
    ScramFirst { mechanism: Mechanism, bindings: ChannelBindings },
    ScramAsked(ClientFirst),
    ScramFinal { login: String, server_first: Box<ServerFirst> },
    ScramConfirm { login: String },
    Over,
}

/// What the protocol around the exchange does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this challenge (base64-encoded) and give the client's next line to [`Exchange::respond`].
    Challenge(Vec<u8>),
    /// Ask the directory, then call the method the question names.
    Question(Question),
    /// The client has proved that it is this user.
    Success {
        /// The login name as the client wrote it.
        login: String,
    },
}

/// What only the directory knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// Is this the user's password? Answered by [`Exchange::password_verdict`].
    Password {
        /// The user.
        login: String,
        /// What the client claims the password is.
        password: Password,
    },
    /// Which keys prove this user? Answered by [`Exchange::scram_credentials`].
    ScramKeys {
        /// The user.
        login: String,
    },
}

/// The directory's word on a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this user's password.
    Accepted,
    /// It is not, or there is no such user.
    Rejected,
}

/// Why an exchange ended without success. The wire says only that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The client broke the mechanism's grammar.
    #[error("malformed authentication message")]
    Malformed,
    /// The client's channel binding was not offered, is another connection's, or is missing though it could be there.
    #[error("channel binding not offered, missing or another connection's")]
    ChannelBinding,
    /// The client wanted to act as somebody else.
    #[error("authorization identity differs from the authenticated user")]
    AuthorizationIdentity,
    /// The password or proof is wrong, or there is no such user.
    #[error("credentials rejected")]
    Rejected,
    /// A message or answer came that the state does not expect.
    #[error("authentication message out of order")]
    OutOfOrder,
}

impl Exchange {
    /// A new exchange by this mechanism, on a connection with these bindings.
    pub fn new(mechanism: Mechanism, bindings: &ChannelBindings) -> Exchange {
        let state = match mechanism {
            Mechanism::Plain => State::PlainMessage,
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                State::ScramFirst { mechanism, bindings: bindings.clone() }
            }
        };
        Exchange { state }
    }

    /// A new exchange by LOGIN, which was never a standard and is no [`Mechanism`]: for old programs at submission only.
    pub fn login() -> Exchange {
        Exchange { state: State::LoginName }
    }

    /// The first step when the client sent no initial response: an empty challenge (RFC 4422 §3.3), or LOGIN's question.
    pub fn begin(&self) -> Step {
        match self.state {
            State::LoginName => Step::Challenge(b"Username:".to_vec()),
            _ => Step::Challenge(Vec::new()),
        }
    }

    /// Takes one response of the client, decoded.
    ///
    /// # Errors
    /// The reason why the exchange has failed; it cannot be continued.
    pub fn respond(&mut self, response: &[u8]) -> Result<Step, Failure> {
        let state = self.take_state();
        if response.len() > MAX_RESPONSE {
            return Err(Failure::Malformed);
        }
        match state {
            State::PlainMessage => self.plain_message(response),
            State::LoginName => self.login_name(response),
            State::LoginPassword { login } => self.login_password(login, response),
            State::ScramFirst { mechanism, bindings } => self.scram_first(mechanism, &bindings, response),
            State::ScramFinal { login, server_first } => self.scram_final(login, *server_first, response),
            State::ScramConfirm { login } if response.is_empty() => Ok(Step::Success { login }),
            State::ScramConfirm { .. } => Err(Failure::Malformed),
            State::PlainAsked { .. } | State::ScramAsked(_) | State::Over => Err(Failure::OutOfOrder),
        }
    }

    /// Answers [`Question::Password`].
    ///
    /// # Errors
    /// [`Failure::Rejected`] when the verdict is that.
    pub fn password_verdict(&mut self, verdict: Verdict) -> Result<Step, Failure> {
        match (self.take_state(), verdict) {
            (State::PlainAsked { login }, Verdict::Accepted) => Ok(Step::Success { login }),
            (State::PlainAsked { .. }, Verdict::Rejected) => Err(Failure::Rejected),
            _ => Err(Failure::OutOfOrder),
        }
    }

    /// Answers [`Question::ScramKeys`]. The nonce is fresh, random, at least 18 octets of entropy, in
    /// printable ASCII without commas (base64 will do).
    ///
    /// # Errors
    /// [`Failure::OutOfOrder`] when the question was not asked.
    pub fn scram_credentials(&mut self, credentials: ScramCredentials, nonce: &str) -> Result<Step, Failure> {
        let State::ScramAsked(client_first) = self.take_state() else { return Err(Failure::OutOfOrder) };
        let login = client_first.login.clone();
        let server_first = ServerFirst::new(client_first, credentials, nonce);
        let challenge = server_first.message().as_bytes().to_vec();
        self.state = State::ScramFinal { login, server_first: Box::new(server_first) };
        Ok(Step::Challenge(challenge))
    }

    fn plain_message(&mut self, response: &[u8]) -> Result<Step, Failure> {
        let PlainMessage { authorization, login, password } = PlainMessage::parse(response)?;
        require_own_identity(&authorization, &login)?;
        self.state = State::PlainAsked { login: login.clone() };
        Ok(Step::Question(Question::Password { login, password }))
    }

    fn login_name(&mut self, response: &[u8]) -> Result<Step, Failure> {
        self.state = State::LoginPassword { login: login_word(response)? };
        Ok(Step::Challenge(b"Password:".to_vec()))
    }

    fn login_password(&mut self, login: String, response: &[u8]) -> Result<Step, Failure> {
        let password = Password::new(login_word(response)?);
        self.state = State::PlainAsked { login: login.clone() };
        Ok(Step::Question(Question::Password { login, password }))
    }

    fn scram_first(
        &mut self,
        mechanism: Mechanism,
        bindings: &ChannelBindings,
        response: &[u8],
    ) -> Result<Step, Failure> {
        let client_first = ClientFirst::parse(response, mechanism, bindings)?;
        require_own_identity(&client_first.authorization, &client_first.login)?;
        let login = client_first.login.clone();
        self.state = State::ScramAsked(client_first);
        Ok(Step::Question(Question::ScramKeys { login }))
    }

    fn scram_final(&mut self, login: String, server: ServerFirst, response: &[u8]) -> Result<Step, Failure> {
        let server_final = server.verify(response)?;
        self.state = State::ScramConfirm { login };
        Ok(Step::Challenge(server_final.into_bytes()))
    }

    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Over)
    }
}

/// As PLAIN has it: UTF-8, not empty, no NUL.
fn login_word(response: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(response).map_err(|_| Failure::Malformed)?;
    let well_formed = !text.is_empty() && !text.contains('\0');
    well_formed.then(|| text.to_owned()).ok_or(Failure::Malformed)
}

/// Nobody acts for another user (RFC 4422 §3.4.1).
fn require_own_identity(authorization: &str, login: &str) -> Result<(), Failure> {
    let own = authorization.is_empty() || authorization == login;
    own.then_some(()).ok_or(Failure::AuthorizationIdentity)
}
