//! The MTA-STS policy of another domain (RFC 8461 §3).
//!
//! In: the texts at `_mta-sts.DOMAIN`, and the document that the domain's web server gives. Out: the policy's id, and the
//! policy. Refused: texts and documents that do not hold what they must; unknown fields are passed over.

use serde::{Deserialize, Serialize};

/// The longest that a policy is kept, in seconds (RFC 8461 §3.2).
const MOST_AGE: u64 = 31_557_600;
/// The most hosts that a policy may name.
const MOST_HOSTS: usize = 256;

/// What the domain wants of those who send to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What follows when the policy cannot be kept.
    pub mode: Mode,
    /// The mail hosts, in lower case; `*.` stands for one label.
    pub mx: Vec<String>,
    /// For how long it counts from when it was fetched, in seconds.
    pub max_age: u64,
}

/// What follows when a policy cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// No delivery.
    Enforce,
    /// Delivery all the same.
    Testing,
    /// There is no policy any more.
    None,
}

impl Policy {
    /// Reads the document. The first of two fields of one name counts, but for `mx`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(document: &str) -> Result<Self, String> {
        let fields: Vec<(&str, &str)> = document
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let first = |wanted: &str| fields.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
        if first("version") != Some("STSv1") {
            return Err("it has no line `version: STSv1`".to_owned());
        }
        let mode = match first("mode") {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            other => return Err(format!("its mode is {other:?}")),
        };
        let max_age = first("max_age").and_then(|text| text.parse::<u64>().ok());
        let max_age = max_age.ok_or("it has no `max_age`")?.min(MOST_AGE);
        let hosts = fields.iter().filter(|(key, value)| *key == "mx" && !value.is_empty());
        let mx: Vec<String> = hosts.map(|(_, value)| value.to_ascii_lowercase()).take(MOST_HOSTS).collect();
        if mx.is_empty() && mode != Mode::None {
            return Err("it names no mail host".to_owned());
        }
        Ok(Self { mode, mx, max_age })
    }

    /// Whether a host is one of those that it names (RFC 8461 §4.1).
    pub fn names(&self, host: &str) -> bool {
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent)
            }
            None => pattern == host,
        })
    }
}

/// The id in the texts of `_mta-sts.DOMAIN`; `None` where there is not exactly one such text (RFC 8461 §3.1).
pub fn id(texts: &[String]) -> Option<String> {
    let mut policies = texts.iter().filter_map(|text| {
        let (version, rest) = text.split_once(';')?;
        (version.trim_end() == "v=STSv1").then_some(rest)
    });
    let (Some(rest), None) = (policies.next(), policies.next()) else { return None };
    let mut fields = rest.split(';').filter_map(|field| field.split_once('='));
    let (_, id) = fields.find(|(key, _)| key.trim() == "id")?;
    let id = id.trim();
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_of_the_standard() {
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.net\r\n\
                    mx: backupmx.example.com\r\nmax_age: 604800\r\nunknown: kept\r\n";
        let policy = Policy::parse(text).expect("a policy");
        assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
        for named in ["mail.example.com", "mx1.example.net", "backupmx.example.com"] {
            assert!(policy.names(named), "{named}");
        }
        for other in
            ["example.net", "a.b.example.net", ".example.net", "mail.example.com.evil", "xmail.example.com"]
        {
            assert!(!policy.names(other), "{other}");
        }
        let lines = text.replace("\r\n", "\n");
        assert_eq!(Policy::parse(&lines), Ok(policy));
    }

    #[test]
    fn what_a_document_must_have() {
        let parse = |text: &str| Policy::parse(text).map(|policy| (policy.mode, policy.max_age));
        assert_eq!(parse("version: STSv1\nmode: none\nmax_age: 60\n"), Ok((Mode::None, 60)));
        assert_eq!(
            parse("version: STSv1\nmode: testing\nmode: enforce\nmx: a.example\nmax_age: 99999999999\n"),
            Ok((Mode::Testing, MOST_AGE))
        );
        for wrong in [
            "",
            "mode: enforce\nmx: a.example\nmax_age: 60\n",
            "version: STSv2\nmode: enforce\nmx: a.example\nmax_age: 60\n",
            "version: STSv1\nmode: always\nmx: a.example\nmax_age: 60\n",
            "version: STSv1\nmode: enforce\nmax_age: 60\n",
            "version: STSv1\nmode: enforce\nmx: a.example\nmax_age: -1\n",
            "version: STSv1\nmode: enforce\nmx: a.example\n",
            "<html>not found</html>",
        ] {
            assert!(Policy::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_id_is_that_of_the_one_text() {
        let of = |texts: &[&str]| id(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        assert_eq!(of(&["something else", "v=STSv1;id=1"]).as_deref(), Some("1"));
        assert_eq!(of(&["v=STSv1; x=2; id=a1 ; y=3"]).as_deref(), Some("a1"));
        for none in [
            &["v=STSv1; id=1;", "v=STSv1; id=2;"][..],
            &["v=STSv11; id=1;"],
            &["v=STSv1"],
            &["v=STSv1; id=;"],
            &["v=STSv1; id=with-hyphen"],
            &[],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
