//! Domain names as text.

/// The longest name in presentation form (§7.3).
const LONGEST: usize = 253;
/// The longest label, in octets (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// The name without its final dot, in lower case; `None` where no zone could have it.
pub fn valid(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| (1..=LONGEST_LABEL).contains(&label.len());
    (name.len() <= LONGEST && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

/// The same, and it has more than one label, as every domain that can have a record does (§4.3).
pub fn of_domain(name: &str) -> Option<String> {
    valid(name).filter(|name| name.contains('.'))
}

/// Removes labels on the left until the name is short enough (§7.3).
pub fn shortened(mut name: &str) -> &str {
    while name.strip_suffix('.').unwrap_or(name).len() > LONGEST {
        let Some((_, rest)) = name.split_once('.') else { return name };
        name = rest;
    }
    name
}

/// Whether a name is the other one or lies below it; both in lower case.
pub fn is_within(name: &str, other: &str) -> bool {
    name.strip_suffix(other).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_zone_could_have() {
        assert_eq!(valid("A.Example.").as_deref(), Some("a.example"));
        let label = "a".repeat(63);
        assert!(valid(&format!("{label}.example")).is_some());
        for wrong in ["", ".", "a..example", ".a.example", "a.example..", &format!("a{label}.example")] {
            assert_eq!(valid(wrong), None, "{wrong}");
        }
        assert!(of_domain("example").is_none() && of_domain("a.example").is_some());
    }

    #[test]
    fn long_names_lose_labels_on_the_left() {
        let long = format!("{}example", "abcdefghi.".repeat(30));
        let short = shortened(&long);
        assert!(short.len() <= 253 && short.len() + 10 > 253 && long.ends_with(short));
        assert_eq!(shortened("a.example"), "a.example");
    }

    #[test]
    fn within_means_by_whole_labels() {
        assert!(is_within("a.example", "a.example") && is_within("b.a.example", "a.example"));
        assert!(!is_within("ba.example", "a.example") && !is_within("example", "a.example"));
    }
}
