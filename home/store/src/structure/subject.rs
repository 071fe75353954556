//! The base subject, by which messages are sorted and conversations told apart (RFC 5256 §2.1).

use super::text::decode_header;

/// The base subject of a Subject field's value, in upper case.
pub fn base_subject(subject: &[u8]) -> String {
    // Step 1: decode, and make white space single spaces.
    let decoded = decode_header(subject);
    let words: Vec<&str> = decoded.split_whitespace().collect();
    let upper = words.join(" ").to_uppercase();
    let mut text = upper.as_str();
    loop {
        let before = text;
        text = without_trailers(text);
        text = without_leaders(text);
        // Step 6: a subject wrapped in "[FWD: …]".
        match text.strip_prefix("[FWD:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => text = inner,
            None if text == before => return text.to_owned(),
            None => {}
        }
    }
}

/// Step 2: "(FWD)" and white space at the end.
fn without_trailers(mut text: &str) -> &str {
    loop {
        let shorter = text.trim_end();
        let shorter = shorter.strip_suffix("(FWD)").unwrap_or(shorter);
        if shorter == text {
            return text;
        }
        text = shorter;
    }
}

/// Steps 3 to 5: "RE:", "FW[x]:" and blobs like "[list]" at the beginning, as long as something stays.
fn without_leaders(mut text: &str) -> &str {
    loop {
        let trimmed = text.trim_start();
        let shorter = without_leader(trimmed)
            .or_else(|| without_blob(trimmed).filter(|rest| !rest.trim().is_empty()))
            .unwrap_or(trimmed);
        if shorter == text {
            return text;
        }
        text = shorter;
    }
}

/// `subj-leader`: any blobs, then "RE", "FW" or "FWD", perhaps a blob, and a colon.
fn without_leader(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(after) = without_blob(rest) {
        rest = after;
    }
    let rest = ["RE", "FWD", "FW"].iter().find_map(|prefix| rest.strip_prefix(prefix))?.trim_start();
    without_blob(rest).unwrap_or(rest).strip_prefix(':')
}

/// `subj-blob`: brackets around anything but brackets, and white space after it.
fn without_blob(text: &str) -> Option<&str> {
    let (blob, rest) = text.strip_prefix('[')?.split_once(']')?;
    (!blob.contains('[')).then(|| rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_rfc_5256() {
        for (subject, expected) in [
            ("Hello  World", "HELLO WORLD"),
            ("Re: Hello", "HELLO"),
            ("re[2]: FW: Fwd : hello (fwd) (fwd)", "HELLO"),
            ("[list] Re: [list] hello", "HELLO"),
            ("[list]", "[LIST]"),
            ("[fwd: [fwd: hello]]", "HELLO"),
            ("=?utf-8?Q?Re:_Gr=C3=BC=C3=9Fe?=", "GRÜSSE"),
            ("Regarding", "REGARDING"),
            ("Re:", ""),
            ("", ""),
        ] {
            assert_eq!(base_subject(subject.as_bytes()), expected, "{subject}");
        }
    }
}
