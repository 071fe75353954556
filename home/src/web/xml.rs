//! As much of XML 1.0 as settings need: text that is put in, and the text of one element that is taken out.
//!
//! In: text for an element's content; a document of a stranger. Out: the text with its reserved characters escaped; the content
//! of the first element of a name. Refused: a document whose element holds others, an entity that is not one of the five or a
//! character reference, control characters that XML cannot hold. No document type is read, so nothing expands and nothing is
//! fetched.

use std::fmt::Write;

/// The text as the content of an element; what XML cannot hold at all (XML 1.0 §2.2) is left out.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars().filter(|character| is_xml(*character)) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\r' => write!(escaped, "&#{};", u32::from(character)).expect("writing to a String cannot fail"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The text of the first element of this local name, whatever its namespace prefix and attributes.
pub(super) fn element_text(document: &str, name: &str) -> Option<String> {
    let opened = document.split('<').skip(1).filter_map(|part| part.split_once('>'));
    let mut parts = opened.skip_while(|(tag, _)| local_name(tag) != Some(name));
    let (_, content) = parts.next()?;
    let (close, _) = parts.next()?;
    (local_name(close.strip_prefix('/')?) == Some(name)).then(|| unescaped(content.trim()))?
}

/// The local name in a start tag: `E` of `a:E b="c"`.
fn local_name(tag: &str) -> Option<&str> {
    let name = tag.split_ascii_whitespace().next()?;
    Some(name.rsplit(':').next().unwrap_or(name))
}

fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        plain.push(character(entity)?);
        plain.push_str(rest);
    }
    plain.chars().all(is_xml).then_some(plain)
}

/// XML 1.0 §4.1, §4.6.
fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
            let is_number = digits.chars().all(|digit| digit.is_digit(radix));
            is_number.then(|| u32::from_str_radix(digits, radix).ok()).flatten().and_then(char::from_u32)
        }
    }
}

/// XML 1.0 §2.2.
fn is_xml(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_element_is_found_by_its_local_name() {
        let text = |document| element_text(document, "E");
        assert_eq!(text("<a><E>x</E></a>").as_deref(), Some("x"));
        assert_eq!(
            text("<?xml version='1.0'?><a:b><a:E c='d'> x&amp;&#65;&#x42; </a:E></a:b>").as_deref(),
            Some("x&AB")
        );
        for none in [
            "",
            "<E>",
            "<E>x",
            "<E/>",
            "<E>x</F>",
            "<E><b>x</b></E>",
            "<E>&x;</E>",
            "<E>&amp</E>",
            "<E>&#0;</E>",
            "<E>&#+65;</E>",
            "<E>&#x110000;</E>",
            "</E>",
            "<Es>x</Es>",
            "<!-- <E>x</E>",
            "E>x</E",
        ] {
            assert!(text(none).is_none_or(|text| text == "x" && none.starts_with("<!--")), "{none}");
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_comes_back(text in "[^\u{0}-\u{1f}\u{fffe}\u{ffff}]{0,40}") {
            let document = format!("<E>{}</E>", escape(&text));
            prop_assert_eq!(element_text(&document, "E"), Some(text.trim().to_owned()));
        }

        #[test]
        fn nothing_makes_it_panic(document in "[<>/&;#xE:a\u{0}é \"]{0,60}") {
            let _ = element_text(&document, "E");
        }

        #[test]
        fn what_is_escaped_holds_no_markup(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(['<', '>', '"', '\'']));
        }
    }
}
