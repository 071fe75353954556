//! `Authentication-Results`: what our checks found, told to the mail program; and fields by others that pretend
//! to be ours.
//!
//! In: results of checks; or the value of a field that came with a message. Out: the folded field with its last
//! CRLF; or the `authserv-id` that a field claims. Refused: nothing; values from the network are quoted or cut so
//! that they cannot end the field or add a result.
//!
//! Implements RFC 8601 §2.2 (grammar), §2.7 (methods and results), §5 (removal of forged fields).

use std::fmt::{self, Display, Formatter, Write as _};

/// An `Authentication-Results` field to be written.
#[derive(Clone, Debug, Default)]
pub struct AuthenticationResults<'a> {
    /// The name of the server that checked (RFC 8601 §2.5): ours.
    pub authserv_id: &'a str,
    /// The results in the order of the checks; none is written as `none`.
    pub results: Vec<MethodResult>,
}

/// What one method found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodResult {
    /// `spf`, `dkim`, `dmarc`, `auth`, `iprev` (RFC 8601 §2.7).
    pub method: &'static str,
    /// `pass`, `fail`, `none`, `temperror`, …
    pub result: &'static str,
    /// Why, in a few words; empty for nothing to say.
    pub reason: String,
    /// What was checked: `("smtp.mailfrom", "ana@home.example")`.
    pub properties: Vec<(&'static str, String)>,
}

impl MethodResult {
    /// A result without reason and properties.
    pub fn new(method: &'static str, result: &'static str) -> MethodResult {
        MethodResult { method, result, reason: String::new(), properties: Vec::new() }
    }

    /// Adds what was checked.
    pub fn with(mut self, property: &'static str, value: impl Into<String>) -> MethodResult {
        self.properties.push((property, value.into()));
        self
    }

    /// Says why.
    pub fn because(mut self, reason: impl Into<String>) -> MethodResult {
        self.reason = reason.into();
        self
    }
}

impl Display for AuthenticationResults<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Authentication-Results: {}", self.authserv_id)?;
        for result in &self.results {
            write!(f, ";\r\n\t{result}")?;
        }
        f.write_str(if self.results.is_empty() { "; none\r\n" } else { "\r\n" })
    }
}

impl Display for MethodResult {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.method, self.result)?;
        if !self.reason.is_empty() {
            write!(f, " reason={}", Quoted(&self.reason))?;
        }
        self.properties.iter().try_for_each(|(property, value)| write!(f, " {property}={}", PValue(value)))
    }
}

/// `value` or `[local-part] "@" domain-name` as it stands where the grammar allows, else a quoted string.
struct PValue<'a>(&'a str);

impl Display for PValue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "@.-_+/!#$%&'*^`{|}~".contains(c);
        let as_it_stands = !self.0.is_empty() && self.0.len() <= 200 && self.0.chars().all(plain);
        if as_it_stands { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

/// A quoted string of at most 200 characters without controls.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars().take(200) {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => f.write_char(' ')?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// The `authserv-id` of a field's value: the first token or quoted string after white space and comments, in
/// lower case. Generous on purpose: what a lenient reader could take for our name is found (RFC 8601 §5).
pub fn claimed_authserv_id(value: &[u8]) -> String {
    let mut rest = value;
    let mut depth = 0usize;
    while let [octet, tail @ ..] = rest {
        match octet {
            b'\\' if depth > 0 => rest = tail.get(1..).unwrap_or_default(),
            b'(' => (depth, rest) = (depth + 1, tail),
            b')' if depth > 0 => (depth, rest) = (depth - 1, tail),
            octet if depth > 0 || octet.is_ascii_whitespace() => rest = tail,
            _ => break,
        }
    }
    let id: Vec<u8> = match rest.strip_prefix(b"\"") {
        Some(quoted) => {
            quoted.iter().copied().take_while(|octet| *octet != b'"').filter(|o| *o != b'\\').collect()
        }
        None => rest.iter().copied().take_while(|octet| !b" \t\r\n;(/".contains(octet)).collect(),
    };
    String::from_utf8_lossy(&id).trim_end_matches('.').to_lowercase()
}

/// Whether a field with this name and value pretends to come from the server called `authserv_id`.
pub fn is_forged(name: &[u8], value: &[u8], authserv_id: &str) -> bool {
    name.eq_ignore_ascii_case(b"Authentication-Results")
        && claimed_authserv_id(value) == authserv_id.trim_end_matches('.').to_lowercase()
}

/// What a field by another server says of a method: the result word, and the value of one property where it is there. Takes
/// a field's value with or without the server's name. The first result of the method counts.
pub fn result_of(value: &str, method: &str, property: &str) -> Option<(String, Option<String>)> {
    results(value).into_iter().find_map(|words| {
        let (name, result) = words.first()?.split_once('=')?;
        let name = name.split('/').next().unwrap_or_default();
        let found = words.iter().skip(1).filter_map(|word| word.split_once('='));
        let mut found = found.filter(|(name, _)| name.eq_ignore_ascii_case(property));
        let text = found.next().map(|(_, value)| value.to_owned());
        name.eq_ignore_ascii_case(method).then(|| (result.to_lowercase(), text))
    })
}

/// The results of a field as words; comments are left out, and white space around `=` and `/`, and quotes.
fn results(value: &str) -> Vec<Vec<String>> {
    let (mut results, mut words, mut word) = (Vec::new(), Vec::new(), String::new());
    let (mut depth, mut quoted) = (0_usize, false);
    let mut characters = value.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' if depth > 0 => drop(characters.next()),
            '\\' if quoted => word.extend(characters.next()),
            '"' if depth == 0 => quoted = !quoted,
            c if quoted => word.push(c),
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            ';' => {
                words.push(std::mem::take(&mut word));
                results.push(std::mem::take(&mut words));
            }
            c if c.is_ascii_whitespace() => {
                let joined = word.ends_with('=') || matches!(next_visible(&mut characters), Some('='));
                if !joined {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    words.push(word);
    results.push(words);
    results.iter_mut().for_each(|words| words.retain(|word| !word.is_empty()));
    results
}

/// The next character that is no white space; the white space is gone then.
fn next_visible(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    while characters.next_if(char::is_ascii_whitespace).is_some() {}
    characters.peek().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_results() {
        let field = AuthenticationResults { authserv_id: "mail.home.example", results: Vec::new() };
        assert_eq!(field.to_string(), "Authentication-Results: mail.home.example; none\r\n");
    }

    #[test]
    fn results_on_lines_of_their_own() {
        let results = vec![
            MethodResult::new("spf", "pass").with("smtp.mailfrom", "bob@stranger.example"),
            MethodResult::new("dkim", "fail")
                .because("body hash did not verify")
                .with("header.d", "x.example"),
        ];
        assert_eq!(
            AuthenticationResults { authserv_id: "mail.home.example", results }.to_string(),
            "Authentication-Results: mail.home.example;\r\n\
             \tspf=pass smtp.mailfrom=bob@stranger.example;\r\n\
             \tdkim=fail reason=\"body hash did not verify\" header.d=x.example\r\n"
        );
    }

    #[test]
    fn values_cannot_break_out() {
        let result =
            MethodResult::new("spf", "none").with("smtp.mailfrom", "\"x; dmarc=pass\"\r\nY: z@a.example");
        let text = result.to_string();
        assert_eq!(text, "spf=none smtp.mailfrom=\"\\\"x; dmarc=pass\\\"  Y: z@a.example\"");
    }

    #[test]
    fn forged_fields_are_found_in_every_spelling() {
        let forged: [&[u8]; 8] = [
            b" mail.home.example; spf=pass",
            b"mail.home.example;spf=pass",
            b"\r\n MAIL.Home.Example 1; spf=pass",
            b" (a (nested \\) comment)) mail.home.example; none",
            b" \"mail.home.example\"; none",
            b" mail.home.example(comment); none",
            b" mail.home.example.; none",
            b" mail.home.example",
        ];
        for value in forged {
            assert!(
                is_forged(b"authentication-results", value, "mail.home.example"),
                "{}",
                value.escape_ascii()
            );
        }
    }

    #[test]
    fn others_stay() {
        for value in
            [&b" mx.stranger.example; spf=pass"[..], b" xmail.home.example; none", b"", b" (open", b" ;"]
        {
            assert!(
                !is_forged(b"Authentication-Results", value, "mail.home.example"),
                "{}",
                value.escape_ascii()
            );
        }
        assert!(!is_forged(b"X-Results", b" mail.home.example; none", "mail.home.example"));
    }

    #[test]
    fn the_results_of_others_are_read() {
        let value = "mx.list.example 1; spf=pass smtp.mailfrom=\"a;dmarc=pass\"; (dmarc=pass;) dkim=fail;\r\n \
                     dmarc/1 = FAIL (p=none; dmarc=pass) header.from = Home.Example; dmarc=pass";
        let dmarc = Some(("fail".to_owned(), Some("Home.Example".to_owned())));
        assert_eq!(result_of(value, "dmarc", "header.from"), dmarc);
        assert_eq!(result_of(value, "dkim", "header.d"), Some(("fail".to_owned(), None)));
        assert_eq!(result_of(value, "arc", "x"), None);
        for broken in ["", ";", "(", "\"", "a=\\", "dmarc", "x; dmarc", "\\"] {
            assert_eq!(result_of(broken, "dmarc", "x"), None, "{broken}");
        }
    }
}
