//! Texts with macros (§7).
//!
//! In: the text of a term or of an explanation. Out: its parts, and with the facts of a check the text that they make. Refused:
//! a `%` that begins no macro, unknown letters, and those that only explanations may have.

use std::fmt::Write;
use std::net::IpAddr;

/// A text that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Macro(Macro),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Macro {
    letter: char,
    is_escaped: bool,
    /// So many parts on the right; all where absent.
    keep: Option<usize>,
    is_reversed: bool,
    delimiters: Vec<char>,
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a term.
    Term,
    /// In an explanation, which may have blanks and three more letters.
    Explanation,
}

/// What the letters stand for.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// `s` before its `@`, and after it.
    pub local_part: &'a str,
    /// The sender's domain.
    pub sender_domain: &'a str,
    /// The domain whose record it is.
    pub domain: &'a str,
    /// The client's address; never IPv4 in IPv6's form.
    pub address: IpAddr,
    /// The client's HELO.
    pub helo: &'a str,
    /// The client's validated name, or `unknown`.
    pub validated: &'a str,
    /// The host that asks.
    pub receiver: &'a str,
    /// Seconds since 1970.
    pub now: u64,
}

impl MacroString {
    /// Reads a text; `None` where its syntax is wrong.
    pub fn parse(text: &str, place: Place) -> Option<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars();
        while let Some(next) = rest.next() {
            match next {
                '%' => match rest.next()? {
                    '%' => literal.push('%'),
                    '_' => literal.push(' '),
                    '-' => literal.push_str("%20"),
                    '{' => {
                        let (inside, behind) = rest.as_str().split_once('}')?;
                        if !literal.is_empty() {
                            parts.push(Part::Literal(std::mem::take(&mut literal)));
                        }
                        parts.push(Part::Macro(Macro::parse(inside, place)?));
                        rest = behind.chars();
                    }
                    _ => return None,
                },
                ' ' if place == Place::Explanation => literal.push(' '),
                '\x21'..='\x7e' => literal.push(next),
                _ => return None,
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Some(Self(parts))
    }

    /// Whether it needs the client's validated name.
    pub fn needs_validated_name(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Macro(Macro { letter: 'p', .. })))
    }

    /// The text that it makes.
    pub fn expand(&self, facts: &Facts<'_>) -> String {
        let expanded = self.0.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Macro(found) => found.expand(facts),
        });
        expanded.collect()
    }
}

/// Reads a domain-spec: a text that ends in a macro, or in a dot and a top-level domain (§7.1).
pub fn domain_spec(text: &str) -> Option<MacroString> {
    let parsed = MacroString::parse(text, Place::Term)?;
    let ends_in_macro = text.ends_with('}') && matches!(parsed.0.last(), Some(Part::Macro(_)))
        || ["%%", "%_", "%-"].iter().any(|short| text.ends_with(short));
    let has_top_level = || {
        let text = text.strip_suffix('.').unwrap_or(text);
        text.rsplit_once('.').is_some_and(|(_, label)| is_top_level(label))
    };
    (ends_in_macro || has_top_level()).then_some(parsed)
}

fn is_top_level(label: &str) -> bool {
    let is_allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    !label.is_empty()
        && label.bytes().all(is_allowed)
        && !label.bytes().all(|octet| octet.is_ascii_digit())
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl Macro {
    fn parse(inside: &str, place: Place) -> Option<Self> {
        let mut rest = inside.chars();
        let written = rest.next()?;
        let letter = written.to_ascii_lowercase();
        let is_known = match place {
            Place::Term => "slodiphv".contains(letter),
            Place::Explanation => "slodiphvcrt".contains(letter),
        };
        if !is_known {
            return None;
        }
        let rest = rest.as_str();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = rest.split_at(digits);
        // A number that is too long for the machine is as good as all parts.
        let keep = (!number.is_empty()).then(|| number.parse().unwrap_or(usize::MAX));
        let stripped = rest.strip_prefix(['r', 'R']);
        let delimiters: Vec<char> = stripped.unwrap_or(rest).chars().collect();
        let are_delimiters = delimiters.iter().all(|delimiter| ".-+,/_=".contains(*delimiter));
        (keep != Some(0) && are_delimiters).then(|| Self {
            letter,
            is_escaped: written.is_ascii_uppercase(),
            keep,
            is_reversed: stripped.is_some(),
            delimiters,
        })
    }

    fn expand(&self, facts: &Facts<'_>) -> String {
        let value = self.value(facts);
        let is_plain = self.keep.is_none() && !self.is_reversed && self.delimiters.is_empty();
        let value = if is_plain { value } else { self.transformed(&value) };
        if self.is_escaped { escaped(&value) } else { value }
    }

    fn value(&self, facts: &Facts<'_>) -> String {
        match self.letter {
            's' => format!("{}@{}", facts.local_part, facts.sender_domain),
            'l' => facts.local_part.to_owned(),
            'o' => facts.sender_domain.to_owned(),
            'd' => facts.domain.to_owned(),
            'i' => dotted(facts.address),
            'p' => facts.validated.to_owned(),
            'v' => if facts.address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'h' => facts.helo.to_owned(),
            'c' => facts.address.to_string(),
            'r' => facts.receiver.to_owned(),
            _ => facts.now.to_string(),
        }
    }

    fn transformed(&self, value: &str) -> String {
        let is_delimiter = |found: char| match self.delimiters.as_slice() {
            [] => found == '.',
            some => some.contains(&found),
        };
        let mut parts: Vec<&str> = value.split(is_delimiter).collect();
        if self.is_reversed {
            parts.reverse();
        }
        let left_out = parts.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        parts.split_off(left_out).join(".")
    }
}

/// IPv4 as usual, IPv6 as its 32 nibbles.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:X}")).collect::<Vec<_>>().join(".")
        }
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn escaped(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, octet| {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            text.push(char::from(octet));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{octet:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, address: &str) -> String {
        let facts = Facts {
            local_part: "strong-bad",
            sender_domain: "email.example.com",
            domain: "email.example.com",
            address: address.parse().unwrap(),
            helo: "mx.example.org",
            validated: "mx.example.org",
            receiver: "receiver.example",
            now: 7,
        };
        MacroString::parse(text, Place::Explanation).unwrap().expand(&facts)
    }

    /// §7.4.
    #[test]
    fn the_examples_of_the_standard() {
        for (text, expanded) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%%%_%-%{S}", "% %20strong-bad%40email.example.com"),
        ] {
            assert_eq!(expand(text, "192.0.2.3"), expanded, "{text}");
        }
        let reversed = "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf.example.com";
        assert_eq!(expand("%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01"), reversed);
        assert_eq!(expand("%{c} %{r} %{t}", "2001:db8::cb01"), "2001:db8::cb01 receiver.example 7");
    }

    #[test]
    fn what_is_no_macro_is_refused() {
        for wrong in ["%", "%(ir)", "%{", "%{}", "%{x}", "%{d0}", "%{dx}", "%{c}", "a b", "\u{e9}", "%{d.r}"]
        {
            assert_eq!(MacroString::parse(wrong, Place::Term), None, "{wrong}");
        }
        for wrong in ["", "museum", "a.1", "a.-b", "a.b-", "a.b.c/24x", "example.com/"] {
            assert_eq!(domain_spec(wrong), None, "{wrong}");
        }
        for right in ["a.museum", "a.museum.", "%{d}", "a.%{d2r}", "a.xn--b", "a%%", "foo:bar.example"] {
            assert!(domain_spec(right).is_some(), "{right}");
        }
    }
}
