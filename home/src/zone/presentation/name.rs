//! Domain names in presentation form.
//!
//! Deviates: hickory writes and reads `\DDD` in names as an octal number; RFC 1035 §5.1 says decimal, and so does this.

use hickory_proto::rr::Name;

use super::word::{Word, escape};

/// What has a meaning of its own in a name.
const SPECIAL: &[u8] = b".\\\"();@$";

/// The absolute name that a word stands for: `@` is the origin, and what does not end in a dot is below it.
pub fn absolute(word: &Word, origin: &Name) -> Option<Name> {
    if word.text == "@" {
        return Some(origin.clone());
    }
    if word.text == "." {
        return Some(Name::root());
    }
    let mut labels = vec![Vec::new()];
    for (octet, is_escaped) in word.unescaped().ok()? {
        match labels.last_mut() {
            Some(label) if is_escaped || octet != b'.' => label.push(octet),
            _ => labels.push(Vec::new()),
        }
    }
    let is_absolute = labels.len() > 1 && labels.last().is_some_and(Vec::is_empty);
    if is_absolute {
        labels.pop();
    }
    let is_name = labels.iter().all(|label| (1..=63).contains(&label.len()) && label.is_ascii());
    let mut name = is_name.then(|| Name::from_labels(labels).ok())??;
    name.set_fqdn(is_absolute);
    if is_absolute { Some(name) } else { name.append_domain(origin).ok() }
}

/// An absolute name with its final dot.
pub fn name_text(name: &Name) -> String {
    labels_text(name.iter())
}

/// The labels of an absolute name.
pub(super) fn labels_text<'a>(labels: impl Iterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for label in labels {
        for octet in label {
            if *octet == b' ' { text.push_str("\\032") } else { escape(*octet, SPECIAL, &mut text) }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}
