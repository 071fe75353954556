//! `postern-home unlock`.

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::secret;
use crate::admin::wire::{Done, Password, Unlock};
use crate::memory;

pub(super) fn unlock(client: &Client) -> Result<Exit, Failure> {
    memory::keep_out_of_core_dumps();
    let mut passphrase = secret::passphrase("Passphrase of the mail: ")?;
    let passphrase = Password::new(std::mem::take(&mut *passphrase));
    let done: Done = client.call(Method::PUT, "/v1/unlock", &Unlock { passphrase })?;
    client.print(&done, "The mail is open.")
}
