//! Mail that is moved in from other servers, over the administration interface.

use postern_sasl::Password;
use postern_shared::http::StatusCode;
use postern_store::directory::DirectoryError;

use super::wire::import::{Proof, StartImport};
use super::wire::{Done, OfUser};
use super::{Admin, Refusal};
use crate::import::imap::{Order, Secret, Server};
use crate::import::jobs::Shown;

pub(super) fn list(admin: &Admin) -> Vec<Shown> {
    admin.imports.list()
}

pub(super) fn start(admin: &Admin, request: StartImport) -> Result<Done, Refusal> {
    let StartImport { user, host, port, security, login, proof, secret, connections, effect } = request;
    let snapshot = admin.directory.snapshot();
    let account = snapshot.user_at(&user).ok_or_else(|| DirectoryError::UnknownUser(user.clone()))?.account;
    let account = admin.store.account(account)?;
    let secret = Password::new(secret.expose().to_owned());
    let secret = match proof {
        Proof::Password => Secret::Password(secret),
        Proof::Xoauth2 => Secret::Token(secret),
    };
    tracing::info!(%user, host, login, ?effect, "import begun");
    let order = Order { server: Server { host, port, security, login, secret }, connections, effect };
    let started = admin.imports.start(user, order, admin.store.clone(), account, admin.state_dir.clone());
    started.map_err(|busy| Refusal(StatusCode::CONFLICT, format!("{busy}.")))?;
    Ok(Done {})
}

pub(super) fn stop(admin: &Admin, request: &OfUser) -> Result<Done, Refusal> {
    match admin.imports.stop(&request.user) {
        true => Ok(Done {}),
        false => Err(Refusal(StatusCode::NOT_FOUND, format!("no import runs for {}.", request.user))),
    }
}
