//! DNS lists of distrusted addresses (RFC 5782), asked about our own. Pure but for [`ask`].
//!
//! In: a list, an address. Out: whether the list has it, with the list's words. Refused: answers by which a list says that it was
//! asked the wrong way (127.255.255.0/24), since they name no address, and everything outside 127.0.0.0/8, which is a list that
//! has ended.

use std::net::{IpAddr, Ipv4Addr};

use postern_message::address::DomainName;

use crate::resolver::{Answer, Resolver};

/// Octets of a list's words that are kept.
const WORDS: usize = 300;

/// What a list says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// It does not have it.
    Clean,
    /// It has it, for these reasons.
    Listed(String),
    /// It does not say: it does not answer, or refuses whoever asks through a resolver that many use.
    Silent,
}

/// Asks one list.
pub async fn ask(resolver: &Resolver, list: &DomainName, address: IpAddr) -> Word {
    let question = question(list, address);
    match resolver.ipv4(&question).await {
        Ok(Answer::Records(codes)) if codes.iter().any(|code| is_listing(*code)) => {}
        Ok(Answer::NoData | Answer::NoSuchName) => return Word::Clean,
        Ok(Answer::Records(_)) | Err(_) => return Word::Silent,
    }
    let texts = match resolver.txt(&question).await {
        Ok(Answer::Records(texts)) => texts,
        _ => Vec::new(),
    };
    let words: Vec<String> = texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    Word::Listed(words.join(" ").chars().filter(|one| !one.is_control()).take(WORDS).collect())
}

/// The name that the list has for an address (RFC 5782 §2.1, §2.4).
fn question(list: &DomainName, address: IpAddr) -> String {
    let labels: Vec<String> = match address {
        IpAddr::V4(v4) => v4.octets().iter().rev().map(ToString::to_string).collect(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}")).collect()
        }
    };
    format!("{}.{list}", labels.join("."))
}

fn is_listing(code: Ipv4Addr) -> bool {
    let [first, second, third, _] = code.octets();
    first == 127 && (second, third) != (255, 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_asked_as_the_rfc_has_it() {
        let list = "zen.example".parse().unwrap();
        assert_eq!(question(&list, "192.0.2.99".parse().unwrap()), "99.2.0.192.zen.example");
        assert_eq!(
            question(&list, "2001:db8::9".parse().unwrap()),
            "9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.zen.example"
        );
    }

    #[test]
    fn an_answer_to_a_wrong_question_is_no_listing() {
        let listing = |code: &str| is_listing(code.parse().unwrap());
        assert!(listing("127.0.0.2") && listing("127.0.1.4"));
        assert!(!listing("127.255.255.254") && !listing("127.255.255.252") && !listing("203.0.113.9"));
    }
}
