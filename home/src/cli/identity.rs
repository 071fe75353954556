//! `postern-home identity`.

use postern_shared::cli::{Exit, Failure};

use super::client::Client;
use crate::admin::wire::Identity;

/// One word on one line, so that a script can pass it on.
pub(super) fn identity(client: &Client) -> Result<Exit, Failure> {
    let identity: Identity = client.fetch("/v1/identity")?;
    client.print(&identity, String::from(identity.identity))
}
