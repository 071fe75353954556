//! Users, over the administration interface.
//!
//! Removing a user never deletes mail that nobody spoke of: where there is any, the request must say whether it stays
//! on the disk or goes.

use postern_shared::http::StatusCode;
use postern_store::directory;

use postern_store::journal::Event;
use postern_store::queue::Fate;

use super::wire::{
    AddUser, Done, HeldMail, Mail, ReleaseUser, ReleasedUser, RemoveUser, Removed, SetPassword, User,
};
use super::{Admin, Refusal};
use crate::notices::Kind;

pub(super) fn list(admin: &Admin) -> Result<Vec<User>, Refusal> {
    let snapshot = admin.directory.snapshot();
    snapshot.users().map(|user| describe(admin, user)).collect()
}

pub(super) fn add(admin: &Admin, request: AddUser) -> Result<User, Refusal> {
    let user = admin.directory.add_user(&request.address, request.password.expose())?;
    tracing::info!(user = %user.address, account = %user.account, "user added");
    describe(admin, &user)
}

pub(super) fn set_password(admin: &Admin, request: SetPassword) -> Result<Done, Refusal> {
    admin.directory.set_password(&request.address, request.password.expose())?;
    tracing::info!(user = %request.address, "password changed");
    Ok(Done {})
}

pub(super) fn remove(admin: &Admin, request: RemoveUser) -> Result<Removed, Refusal> {
    let snapshot = admin.directory.snapshot();
    let user = snapshot.user_at(&request.address);
    let user = user.ok_or_else(|| directory::DirectoryError::UnknownUser(request.address.clone()))?;
    let kept = dispose(admin, std::slice::from_ref(user), request.mail)?;
    tracing::info!(user = %user.address, account = %user.account, "user removed");
    Ok(Removed { kept })
}

/// Lets a held account send again; what was held goes, or is dropped.
pub(super) fn release(admin: &Admin, request: &ReleaseUser) -> Result<ReleasedUser, Refusal> {
    let address = &request.address;
    let user = admin.directory.snapshot().user_at(address).cloned();
    let user = user.ok_or_else(|| directory::DirectoryError::UnknownUser(address.clone()))?;
    let fate = match request.mail {
        HeldMail::Send => Fate::Sent,
        HeldMail::Drop => Fate::Dropped,
    };
    let stories = admin.queue.held_of(user.account)?;
    let released = admin.queue.release_sender(user.account, fate)?;
    let released =
        released.ok_or_else(|| Refusal(StatusCode::CONFLICT, format!("{address} is not held.")))?;
    for (queue_id, story) in stories {
        let event = match fate {
            Fate::Sent => Event::Released { queue_id },
            Fate::Dropped => Event::Dropped { queue_id, reason: "the operator said so".to_owned() },
        };
        admin.journal.tell(&story, event);
    }
    admin.notices.resolve(Kind::Account, &address.to_string());
    tracing::info!(user = %address, messages = released.len(), mail = ?request.mail, "account released");
    Ok(ReleasedUser { messages: released.len() })
}

/// Removes users and does with their mail what was asked; gives the directories of mail that was kept. Nothing is
/// changed when one of them has mail and nothing was asked.
pub(super) fn dispose(
    admin: &Admin,
    users: &[directory::User],
    mail: Option<Mail>,
) -> Result<Vec<String>, Refusal> {
    let mut with_mail = Vec::new();
    for user in users {
        let octets = octets(admin, user)?;
        if octets > 0 && mail.is_none() {
            return Err(mail_undecided(user, octets));
        }
        with_mail.push(octets > 0);
    }
    let mut kept = Vec::new();
    for (user, has_mail) in users.iter().zip(with_mail) {
        admin.directory.remove_user(&user.address)?;
        admin.queue.forget_sender(user.account)?;
        match mail {
            Some(Mail::Keep) if has_mail => kept.push(format!("accounts/{}", user.account)),
            Some(Mail::Keep) | Some(Mail::Delete) | None => admin.store.delete_account(user.account)?,
        }
    }
    Ok(kept)
}

fn mail_undecided(user: &directory::User, octets: u64) -> Refusal {
    let sentences = format!(
        "{} has {octets} octets of mail. Add --keep-mail to leave it on the disk, or --delete-mail to delete it for good.",
        user.address
    );
    Refusal(StatusCode::CONFLICT, sentences)
}

fn describe(admin: &Admin, user: &directory::User) -> Result<User, Refusal> {
    let held = admin.queue.held_senders()?.into_iter().find(|held| held.sender == user.account);
    Ok(User {
        address: user.address.clone(),
        account: user.account,
        octets: octets(admin, user)?,
        held: held.map(|held| held.reason),
    })
}

fn octets(admin: &Admin, user: &directory::User) -> Result<u64, Refusal> {
    let (octets, _quota) = admin.store.account(user.account)?.usage()?;
    Ok(octets)
}
