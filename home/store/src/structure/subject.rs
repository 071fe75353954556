//! The base subject, by which messages are sorted and conversations told apart (RFC 5256 §2.1).

use super::text::decode_header;

/// The base subject of a Subject field's value, in upper case.
pub fn base_subject(subject: &[u8]) -> String {
    stripped(subject).text
}

/// Whether a Subject field's value says that the message is an answer or passed on: a mark of that was taken off to
/// get at the base subject (RFC 5256 §3).
pub fn is_reply_or_forward(subject: &[u8]) -> bool {
    stripped(subject).marks > 0
}

/// A base subject, and how many marks of answers and forwards stood around it.
struct Stripped {
    text: String,
    marks: usize,
}

/// Octets of a subject that count. What is taken off is taken off piece by piece.
const MAX_SUBJECT: usize = 2048;

fn stripped(subject: &[u8]) -> Stripped {
    // Step 1: decode, and make white space single spaces.
    let decoded = decode_header(subject.get(..MAX_SUBJECT).unwrap_or(subject));
    let words: Vec<&str> = decoded.split_whitespace().collect();
    let upper = words.join(" ").to_uppercase();
    let mut text = upper.as_str();
    let mut marks = 0;
    loop {
        let before = text;
        text = without_trailers(text, &mut marks);
        text = without_leaders(text, &mut marks);
        // Step 6: a subject wrapped in "[FWD: …]".
        match text.strip_prefix("[FWD:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => {
                text = inner;
                marks += 1;
            }
            None if text == before => return Stripped { text: text.to_owned(), marks },
            None => {}
        }
    }
}

/// Step 2: "(FWD)" and white space at the end.
fn without_trailers<'a>(mut text: &'a str, marks: &mut usize) -> &'a str {
    loop {
        text = text.trim_end();
        match text.strip_suffix("(FWD)") {
            Some(shorter) => {
                text = shorter;
                *marks += 1;
            }
            None => return text,
        }
    }
}

/// Steps 3 to 5: "RE:", "FW[x]:" and blobs like "[list]" at the beginning, as long as something stays.
fn without_leaders<'a>(mut text: &'a str, marks: &mut usize) -> &'a str {
    loop {
        text = text.trim_start();
        if let Some(shorter) = without_leader(text) {
            text = shorter;
            *marks += 1;
        } else if let Some(shorter) = without_blob(text).filter(|rest| !rest.trim().is_empty()) {
            text = shorter;
        } else {
            return text;
        }
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

    /// A sender chooses the subject, and each delivery strips it.
    #[test]
    fn a_subject_of_many_blobs_costs_no_more_than_a_long_one() {
        let subject = "[a]".repeat(90_000) + "x";
        assert!(base_subject(subject.as_bytes()).len() <= MAX_SUBJECT);
    }

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

    #[test]
    fn answers_and_forwards() {
        for (subject, expected) in [
            ("Hello", false),
            ("[list] hello", false),
            ("Regarding", false),
            ("Re: hello", true),
            ("[list] fwd: hello", true),
            ("hello (fwd)", true),
            ("[Fwd: hello]", true),
        ] {
            assert_eq!(is_reply_or_forward(subject.as_bytes()), expected, "{subject}");
        }
    }
}
