//! Runs `nft`, one transaction at a time.
//!
//! In: a list of commands as JSON. Out: all of them done, or none. The crate's own runner loses what `nft` writes to
//! standard error, so this is ours.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::ForwardError;

/// Does all commands at once.
pub fn apply(commands: &[Value]) -> Result<(), ForwardError> {
    let payload = json!({ "nftables": commands }).to_string();
    let mut command = Command::new("nft");
    command.args(["-j", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        // Taking the handle closes it after writing: `nft` waits for the end of its input.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(payload.as_bytes())?;
        }
        child.wait_with_output()
    });
    check(output).map(drop)
}

/// Asks for a listing; gives its objects.
pub fn list(what: &[&str]) -> Result<Vec<Value>, ForwardError> {
    let output = check(Command::new("nft").args(["-j", "list"]).args(what).output())?;
    let listing: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| ForwardError::Refused(error.to_string()))?;
    Ok(listing["nftables"].as_array().cloned().unwrap_or_default())
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
