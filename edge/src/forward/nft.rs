//! Runs `nft`, one transaction at a time.
//!
//! In: a list of commands as JSON, or a wish to see a listing. Out: all commands done, or none; the listing's objects.
//! Refused: whatever `nft` says that is no listing, even where it ends well. The crate's own runner loses what `nft` writes
//! to standard error, so this is ours.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::ForwardError;

/// Does all commands at once.
pub fn apply(commands: &[Value]) -> Result<(), ForwardError> {
    let payload = json!({ "nftables": commands }).to_string();
    feed(Command::new("nft").args(["-j", "-f", "-"]), payload.as_bytes())
}

/// Runs a program that reads `input` to its end.
fn feed(command: &mut Command, input: &[u8]) -> Result<(), ForwardError> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut written = Ok(());
    let output = child.and_then(|mut child| {
        // Taking the handle closes it after writing: `nft` waits for the end of its input.
        if let Some(mut stdin) = child.stdin.take() {
            written = stdin.write_all(input);
        }
        child.wait_with_output()
    });
    // A program that ended before it had read all has said why; only without a reason is the broken pipe one.
    check(output)?;
    Ok(written?)
}

/// Asks for a listing; gives its objects.
pub fn list(what: &[&str]) -> Result<Vec<Value>, ForwardError> {
    objects(&check(Command::new("nft").args(["-j", "list"]).args(what).output())?.stdout)
}

/// The objects of a listing.
fn objects(output: &[u8]) -> Result<Vec<Value>, ForwardError> {
    let listing: Value =
        serde_json::from_slice(output).map_err(|error| ForwardError::Unreadable(error.to_string()))?;
    match listing.get("nftables").and_then(Value::as_array) {
        Some(objects) => Ok(objects.clone()),
        None => Err(ForwardError::Unreadable("there is no array `nftables` in it".to_owned())),
    }
}

fn check(output: io::Result<Output>) -> Result<Output, ForwardError> {
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ForwardError::NoNft,
        _ => ForwardError::Run(error),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    if said.contains("Operation not permitted") || said.contains("you must be root") {
        return Err(ForwardError::Permission);
    }
    Err(ForwardError::Refused(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a shell more than a pipe holds.
    fn fed(script: &str) -> Result<(), ForwardError> {
        feed(Command::new("sh").args(["-c", script]), &[b' '; 1 << 20])
    }

    #[test]
    fn a_program_that_ends_before_it_has_read_all_is_heard_out() {
        let refused =
            fed("exec <&-; echo 'Error: Could not process rule: Cannot allocate memory' >&2; exit 1");
        let said = "Error: Could not process rule: Cannot allocate memory";
        assert!(matches!(&refused, Err(ForwardError::Refused(text)) if text == said), "{refused:?}");
        let forbidden = fed("exec <&-; echo 'Operation not permitted (you must be root)' >&2; exit 1");
        assert!(matches!(forbidden, Err(ForwardError::Permission)), "{forbidden:?}");
        let unread = fed("exec <&-; exit 0");
        assert!(matches!(unread, Err(ForwardError::Run(_))), "it cannot have done all: {unread:?}");
        assert!(fed("cat > /dev/null").is_ok());
    }

    #[test]
    fn what_is_no_listing_is_not_an_empty_one() {
        for output in ["", "{", "[]", "{}", r#"{"nftables":{}}"#, r#"{"nftables":null}"#, "\"nftables\""] {
            let read = objects(output.as_bytes());
            assert!(matches!(read, Err(ForwardError::Unreadable(_))), "{output}: {read:?}");
        }
        assert_eq!(objects(br#"{"nftables":[{"metainfo":{}}]}"#).map(|objects| objects.len()).ok(), Some(1));
    }
}
