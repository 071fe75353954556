//! Large receivers, who judge an address by how much comes from it, by the names of their mail servers. A uniform table.
//!
//! In: the name of a mail server. Out: whose it is. A row that is missing or wrong leaves a receiver out of the plan, and costs no mail.

/// A receiver with the domains of its mail servers.
const RECEIVERS: [(&str, &[&str]); 8] = [
    ("Gmail", &["google.com", "googlemail.com"]),
    ("Outlook", &["outlook.com", "mx.microsoft"]),
    ("Yahoo", &["yahoodns.net"]),
    ("iCloud", &["icloud.com"]),
    ("GMX and WEB.DE", &["gmx.net", "web.de"]),
    ("T-Online", &["t-online.de"]),
    ("Proofpoint", &["pphosted.com", "ppe-hosted.com"]),
    ("Mimecast", &["mimecast.com"]),
];

/// Whose mail server this is, if it is a large receiver's. The name is in A-labels and lower case.
pub fn of_host(host: &str) -> Option<&'static str> {
    let is_in = |domain: &&str| {
        let above = host.strip_suffix(*domain);
        above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
    };
    RECEIVERS.iter().find(|(_, domains)| domains.iter().any(&is_in)).map(|(name, _)| *name)
}

/// The receiver's name as the table has it, whatever its case.
pub fn named(name: &str) -> Option<&'static str> {
    RECEIVERS.iter().map(|(known, _)| *known).find(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::distrust::WORDS;

    #[test]
    fn hosts_belong_to_receivers() {
        assert_eq!(of_host("gmail-smtp-in.l.google.com"), Some("Gmail"));
        assert_eq!(of_host("far-example.mail.protection.outlook.com"), Some("Outlook"));
        assert_eq!(of_host("mx00.t-online.de"), Some("T-Online"));
        assert_eq!(of_host("icloud.com"), Some("iCloud"));
        assert_eq!(of_host("mx.notgoogle.com"), None);
        assert_eq!(of_host("google.com.far.example"), None);
        assert_eq!(named("gmx AND web.de"), Some("GMX and WEB.DE"));
    }

    #[test]
    fn receivers_are_called_as_their_words_are() {
        for words in WORDS.iter().filter(|words| words.provider != "Spamhaus") {
            assert!(named(words.provider).is_some(), "{}", words.provider);
        }
    }
}
