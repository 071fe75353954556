//! SASL, the client's side: how home proves itself to a relay. Pure.
//!
//! * In: the mechanisms that the server offers, a login with its password, the server's challenges, base64-decoded.
//! * Out: the responses to them, and whether the server may say now that all is well.
//! * Refused: a server that asks for fewer rounds than RFC 7677 allows or for so many that we would hang, that takes up
//!   another nonce, or that cannot prove that it knows the password; challenges out of order.
//! * RFC 4616 (PLAIN), RFC 5802 and RFC 7677 (SCRAM-SHA-256 without channel binding), LOGIN as servers speak it, since some
//!   offer nothing else.
//!
//! PLAIN and LOGIN show the password: the caller sees to it that there is TLS with a server that is known.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use zeroize::Zeroizing;

use crate::Password;
use crate::scram::{Keys, MIN_ITERATIONS, hmac_sha256, keys, sha256};

/// More rounds cost seconds, for nothing.
const MAX_ITERATIONS: u32 = 1_000_000;

/// A mechanism that home speaks as a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMechanism {
    /// Proof of the password without sending it, by both sides.
    ScramSha256,
    /// One message with the password in it.
    Plain,
    /// The same in two messages.
    Login,
}

impl ClientMechanism {
    /// The strongest of those that are offered, by name in any case.
    pub fn strongest<'a>(offered: impl IntoIterator<Item = &'a str> + Clone) -> Option<Self> {
        [Self::ScramSha256, Self::Plain, Self::Login].into_iter().find(|mechanism| {
            offered.clone().into_iter().any(|name| name.eq_ignore_ascii_case(mechanism.name()))
        })
    }

    /// The registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// Who logs in, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub name: String,
    /// The password.
    pub password: Password,
    /// Fresh, random, printable ASCII without a comma, at least 18 octets of entropy; for SCRAM.
    pub nonce: String,
}

/// The server did not keep to the mechanism; for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ClientFailure(&'static str);

/// One conversation.
pub struct ClientExchange {
    login: Login,
    state: State,
}

/// What comes next.
enum State {
    /// PLAIN: its one message.
    Plain,
    /// LOGIN: the server asks for the name.
    LoginName,
    /// LOGIN: the server asks for the password.
    LoginPassword,
    /// SCRAM: the client's first message.
    ScramFirst,
    /// SCRAM: the server's first message.
    ScramFinal,
    /// SCRAM: the server's proof, which must be this.
    ScramProof([u8; 32]),
    /// The server may say that all is well.
    Done,
}

impl fmt::Debug for ClientExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientExchange").field("login", &self.login.name).finish_non_exhaustive()
    }
}

impl ClientExchange {
    /// Begins.
    pub fn new(mechanism: ClientMechanism, login: Login) -> Self {
        let state = match mechanism {
            ClientMechanism::ScramSha256 => State::ScramFirst,
            ClientMechanism::Plain => State::Plain,
            ClientMechanism::Login => State::LoginName,
        };
        Self { login, state }
    }

    /// The initial response; `None` where the server speaks first.
    pub fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        match self.state {
            State::Plain => {
                self.state = State::Done;
                let Login { name, password, .. } = &self.login;
                Some(Zeroizing::new(format!("\0{name}\0{}", password.expose()).into_bytes()))
            }
            State::ScramFirst => {
                self.state = State::ScramFinal;
                Some(Zeroizing::new(format!("n,,{}", self.client_first_bare()).into_bytes()))
            }
            _ => None,
        }
    }

    /// Answers a challenge.
    ///
    /// # Errors
    /// [`ClientFailure`]: the exchange is over.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, ClientFailure> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::LoginName => {
                self.state = State::LoginPassword;
                Ok(Zeroizing::new(self.login.name.clone().into_bytes()))
            }
            State::LoginPassword => Ok(Zeroizing::new(self.login.password.expose().as_bytes().to_vec())),
            State::ScramFinal => self.client_final(challenge),
            State::ScramProof(proof) => {
                let proof = format!("v={}", BASE64.encode(proof));
                if challenge == proof.as_bytes() {
                    Ok(Zeroizing::default())
                } else {
                    Err(ClientFailure("the server does not prove that it knows the password"))
                }
            }
            State::Plain | State::ScramFirst | State::Done => {
                Err(ClientFailure("the server asks for more than the mechanism has"))
            }
        }
    }

    /// Whether the server may say now that the login is good.
    pub fn is_complete(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn client_first_bare(&self) -> String {
        let name = self.login.name.replace('=', "=3D").replace(',', "=2C");
        format!("n={name},r={}", self.login.nonce)
    }

    /// Reads `r=…,s=…,i=…` (RFC 5802 §5.1), and answers with the proof.
    fn client_final(&mut self, challenge: &[u8]) -> Result<Zeroizing<Vec<u8>>, ClientFailure> {
        const MALFORMED: ClientFailure = ClientFailure("the server's first SCRAM message makes no sense");
        let server_first = std::str::from_utf8(challenge).map_err(|_| MALFORMED)?;
        let mut attributes = server_first.split(',');
        let mut attribute =
            |prefix| attributes.next().and_then(|part| part.strip_prefix(prefix)).ok_or(MALFORMED);
        let (nonce, salt, iterations) = (attribute("r=")?, attribute("s=")?, attribute("i=")?);
        if !nonce.starts_with(&self.login.nonce) || nonce.len() <= self.login.nonce.len() {
            return Err(ClientFailure("the server takes up another nonce"));
        }
        let salt = BASE64.decode(salt).map_err(|_| MALFORMED)?;
        let iterations: u32 = iterations.parse().map_err(|_| MALFORMED)?;
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(ClientFailure("the server asks for too few or too many rounds"));
        }
        let Keys { client_key, server_key } = keys(self.login.password.expose(), &salt, iterations);
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.client_first_bare());
        let signature = hmac_sha256(&sha256(client_key.as_ref()), &[message.as_bytes()]);
        let proof: Zeroizing<Vec<u8>> = Zeroizing::new(
            client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect(),
        );
        self.state = State::ScramProof(hmac_sha256(&server_key, &[message.as_bytes()]));
        Ok(Zeroizing::new(format!("{without_proof},p={}", BASE64.encode(&*proof)).into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(name: &str, password: &str, nonce: &str) -> Login {
        Login { name: name.into(), password: Password::new(password.into()), nonce: nonce.into() }
    }

    fn text(octets: Zeroizing<Vec<u8>>) -> String {
        String::from_utf8(octets.to_vec()).expect("text")
    }

    /// RFC 7677 §3.
    #[test]
    fn the_example_of_the_rfc() {
        let login = login("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        let mut exchange = ClientExchange::new(ClientMechanism::ScramSha256, login);
        assert_eq!(exchange.initial().map(text).as_deref(), Some("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
        let server_first =
            b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            exchange.respond(server_first).map(text).as_deref(),
            Ok("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        );
        assert!(!exchange.is_complete(), "the server has proved nothing yet");
        let proof = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(exchange.respond(proof).map(text).as_deref(), Ok(""));
        assert!(exchange.is_complete());
    }

    #[test]
    fn a_server_that_lies_gets_no_further() {
        let begun = || {
            let mut exchange = ClientExchange::new(ClientMechanism::ScramSha256, login("u", "p", "abc"));
            exchange.initial();
            exchange
        };
        for challenge in [
            "r=xbcdef,s=AAAA,i=4096",
            "r=abc,s=AAAA,i=4096",
            "r=abcd,s=AAAA,i=1",
            "r=abcd,s=AAAA,i=4000000000",
            "x",
        ] {
            assert!(begun().respond(challenge.as_bytes()).is_err(), "{challenge}");
        }
        let mut exchange = begun();
        assert!(exchange.respond(b"r=abcd,s=AAAA,i=4096").is_ok());
        assert!(exchange.respond(b"v=AAAA").is_err());
    }

    #[test]
    fn passwords_go_as_the_mechanism_has_them() {
        let mut plain = ClientExchange::new(ClientMechanism::Plain, login("u", "p w", ""));
        assert_eq!(plain.initial().map(text).as_deref(), Some("\0u\0p w"));
        assert!(plain.is_complete() && plain.respond(b"").is_err());
        let mut two = ClientExchange::new(ClientMechanism::Login, login("u", "p w", ""));
        assert_eq!(two.initial(), None);
        assert_eq!(two.respond(b"Username:").map(text).as_deref(), Ok("u"));
        assert!(!two.is_complete());
        assert_eq!(two.respond(b"Password:").map(text).as_deref(), Ok("p w"));
        assert!(two.is_complete());
    }

    #[test]
    fn the_strongest_is_taken() {
        let strongest = |offered: &[&str]| ClientMechanism::strongest(offered.iter().copied());
        assert_eq!(strongest(&["LOGIN", "plain", "Scram-SHA-256"]), Some(ClientMechanism::ScramSha256));
        assert_eq!(strongest(&["LOGIN", "XOAUTH2"]), Some(ClientMechanism::Login));
        assert_eq!(strongest(&["XOAUTH2", "CRAM-MD5"]), None);
    }
}
