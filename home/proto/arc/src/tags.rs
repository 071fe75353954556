//! Tag lists, as DKIM has them (RFC 6376 §3.2).

/// The tags of a field in order.
#[derive(Debug)]
pub struct Tags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Tags<'a> {
    /// Reads a list; `None` where it is malformed or names a tag twice.
    pub fn parse(text: &'a str) -> Option<Self> {
        let list = text.trim_end_matches(is_space);
        let list = list.strip_suffix(';').unwrap_or(list);
        let mut tags: Vec<(&str, &str)> = Vec::new();
        for spec in list.split(';') {
            let (name, value) = spec.split_once('=')?;
            let (name, value) = (name.trim_matches(is_space), value.trim_matches(is_space));
            if !is_name(name) || !value.chars().all(is_valued) || tags.iter().any(|(other, _)| *other == name)
            {
                return None;
            }
            tags.push((name, value));
        }
        Some(Self(tags))
    }

    /// The value of a tag, without the white space around it.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    /// The value of a tag that must say something.
    pub fn required(&self, name: &str) -> Option<&'a str> {
        self.get(name).filter(|value| !value.is_empty())
    }
}

/// `tag-name = ALPHA *ALNUMPUNC`
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `VALCHAR`, folding white space, and what an internationalized message may have (§4.1.4).
fn is_valued(c: char) -> bool {
    c.is_ascii_graphic() || is_space(c) || !c.is_ascii()
}

/// White space of a folded line.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_are_read_and_malformed_ones_refused() {
        let tags = Tags::parse(" i=1;\r\n a = rsa-sha256 ;empty=;").expect("a list");
        assert_eq!(
            (tags.get("i"), tags.get("a"), tags.get("empty")),
            (Some("1"), Some("rsa-sha256"), Some(""))
        );
        assert_eq!((tags.required("empty"), tags.get("A")), (None, None));
        for malformed in ["", ";", "i=1;;a=b", "i=1;i=1", "1i=1", "i", "i =1; =2", "i=\u{7f}"] {
            assert!(Tags::parse(malformed).is_none(), "{malformed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z=; \\r\\n\\PC]{0,60}") {
            let _ = Tags::parse(&text);
        }
    }
}
