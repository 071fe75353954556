//! PLAIN: `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).

use crate::{Failure, Password};

/// The one message of PLAIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMessage {
    /// Whom the client wants to act as; empty means the user it authenticates as.
    pub authorization: String,
    /// Who the client says it is.
    pub login: String,
    /// The password that is to prove it.
    pub password: Password,
}

impl PlainMessage {
    /// Reads the message.
    ///
    /// # Errors
    /// [`Failure::Malformed`] unless it is UTF-8 with exactly two NULs and a login and a password between them.
    pub fn parse(message: &[u8]) -> Result<PlainMessage, Failure> {
        let text = std::str::from_utf8(message).map_err(|_| Failure::Malformed)?;
        let mut parts = text.split('\0');
        let (Some(authorization), Some(login), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::Malformed);
        };
        if login.is_empty() || password.is_empty() {
            return Err(Failure::Malformed);
        }
        Ok(PlainMessage {
            authorization: authorization.to_owned(),
            login: login.to_owned(),
            password: Password::new(password.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let message = PlainMessage::parse(b"Ursel\0Kurt\0xipj3plmq").expect("RFC 4616 §4");
        assert_eq!(message.authorization, "Ursel");
        assert_eq!(message.login, "Kurt");
        assert_eq!(message.password.expose(), "xipj3plmq");
    }

    #[test]
    fn what_is_not_two_nuls_is_refused() {
        for bad in [&b""[..], b"tim", b"\0tim", b"\0tim\0", b"\0\0secret", b"\0tim\0a\0b", b"\0tim\0\xff"] {
            assert_eq!(PlainMessage::parse(bad), Err(Failure::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_password_does_not_print() {
        let message = PlainMessage::parse(b"\0tim\0tanstaaftanstaaf").expect("well formed");
        assert!(!format!("{message:?}").contains("tanstaaf"));
    }
}
