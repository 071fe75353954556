//! The text of a policy, and its id (RFC 8461 §3.2, §3.1).
//!
//! The id is a digest of the text: it changes with each change of the text, and with nothing else, whatever clock, backup or
//! restart lies between.

use std::fmt::{self, Display, Formatter};

use aws_lc_rs::digest::{SHA256, digest};
use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};

/// Characters of an id, at most 32 (`sts-id` in RFC 8461 §3.1).
const ID_CHARACTERS: usize = 32;

/// What a sender does when the policy is not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It delivers all the same, and reports (RFC 8460).
    #[default]
    Testing,
    /// It does not deliver.
    Enforce,
}

impl Mode {
    /// How long a sender keeps the policy, in seconds: a day while mistakes are looked for; then two weeks, in which an
    /// attacker who suppresses the policy gains nothing. RFC 8461 §3.2 wants weeks.
    pub(super) fn max_age(self) -> u32 {
        match self {
            Self::Testing => 86_400,
            Self::Enforce => 14 * 86_400,
        }
    }
}

impl Display for Mode {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Testing => "testing",
            Self::Enforce => "enforce",
        })
    }
}

/// The policy of one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What a sender does when it is not kept.
    pub mode: Mode,
    /// The one host that takes the domain's mail.
    pub mx: DomainName,
}

impl Policy {
    /// The body of `mta-sts.txt`.
    pub fn text(&self) -> String {
        let Self { mode, mx } = self;
        format!("version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {}\r\n", mode.max_age())
    }

    /// Its id in the TXT record: letters and digits.
    pub fn id(&self) -> String {
        let digest = digest(&SHA256, self.text().as_bytes());
        let mut id: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        id.truncate(ID_CHARACTERS);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(mode: Mode, mx: &str) -> Policy {
        Policy { mode, mx: mx.parse().expect("a name") }
    }

    #[test]
    fn the_text_is_that_of_the_standard() {
        assert_eq!(
            policy(Mode::Enforce, "mail.home.example").text(),
            "version: STSv1\r\nmode: enforce\r\nmx: mail.home.example\r\nmax_age: 1209600\r\n"
        );
        // RFC 8461 §3.2: A-labels.
        assert!(
            policy(Mode::Testing, "mail.bücher.example")
                .text()
                .contains("mx: mail.xn--bcher-kva.example\r\n")
        );
    }

    #[test]
    fn the_id_changes_with_the_text_alone() {
        let ids = [
            policy(Mode::Testing, "mail.home.example").id(),
            policy(Mode::Enforce, "mail.home.example").id(),
            policy(Mode::Testing, "mx.home.example").id(),
        ];
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
        assert_eq!(ids[0], policy(Mode::Testing, "mail.home.example").id());
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|octet| octet.is_ascii_alphanumeric())));
    }
}
