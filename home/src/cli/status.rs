//! `postern-home status`.

use postern_shared::cli::{Exit, Failure};

use super::client::Client;
use crate::status::Status;

pub(super) fn status(client: &Client) -> Result<Exit, Failure> {
    let status: Status = client.fetch("/v1/status")?;
    client.print(&status, &status)?;
    Ok(Exit::of_warnings(&status.warnings))
}
