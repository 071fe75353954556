//! `postern-home join`.

use std::path::Path;

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_shared::join_code::JoinCode;

use super::client::Client;
use super::secret;
use crate::admin::wire::Join;
use crate::link::EdgeAddresses;

/// A mistyped code is told at once, without asking the daemon.
pub(super) fn join(client: &Client, code_file: Option<&Path>) -> Result<Exit, Failure> {
    let code = secret::join_code(code_file)?;
    code.parse::<JoinCode>().map_err(|error| Failure::failed(format!("{error}.")))?;
    let edge: EdgeAddresses = client.call(Method::POST, "/v1/join", &Join { code })?;
    let public: Vec<String> = edge.public.iter().map(ToString::to_string).collect();
    client.print(&edge, format_args!("Joined. The world reaches this home at {}.", public.join(" and ")))
}
