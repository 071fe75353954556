//! `postern-home user`.

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::client::Client;
use super::table::Table;
use super::{MailChoice, UserCommand, secret};
use crate::admin::wire::{
    AddUser, Done, HeldMail, Mail, ReleaseUser, ReleasedUser, RemoveUser, Removed, SetPassword, User,
};

const PATH: &str = "/v1/users";

pub(super) fn execute(client: &Client, command: UserCommand) -> Result<Exit, Failure> {
    match command {
        UserCommand::Add { address, password_file } => {
            let password = secret::new_password(&address, password_file.as_deref())?;
            let user: User = client.call(Method::POST, PATH, &AddUser { address, password })?;
            client.print(&user, format_args!("The user {} is here now.", user.address))
        }
        UserCommand::Passwd { address, password_file } => {
            let password = secret::new_password(&address, password_file.as_deref())?;
            let request = SetPassword { address, password };
            let done: Done = client.call(Method::PUT, "/v1/users/password", &request)?;
            client.print(&done, format_args!("The password of {} is changed.", request.address))
        }
        UserCommand::List => {
            let users: Vec<User> = client.fetch(PATH)?;
            client.print(&users, table(&users))
        }
        UserCommand::Release { address, drop_mail } => {
            let mail = if drop_mail { HeldMail::Drop } else { HeldMail::Send };
            let request = ReleaseUser { address, mail };
            let released: ReleasedUser = client.call(Method::PUT, "/v1/users/release", &request)?;
            let fate = if drop_mail { "dropped" } else { "sent now" };
            let (address, messages) = (&request.address, released.messages);
            client
                .print(&released, format_args!("{address} may send again. {messages} message(s) are {fate}."))
        }
        UserCommand::Remove { address, mail } => {
            let request = RemoveUser { address: address.clone(), mail: mail.into() };
            let removed: Removed = client.call(Method::DELETE, PATH, &request)?;
            client.print(&removed, format_args!("The user {address} is removed.{}", kept_mail(&removed)))
        }
    }
}

/// A sentence about mail that was kept.
pub(super) fn kept_mail(removed: &Removed) -> String {
    match removed.kept.as_slice() {
        [] => String::new(),
        kept => format!(" Mail is kept in the state directory: {}.", kept.join(", ")),
    }
}

impl From<MailChoice> for Option<Mail> {
    fn from(choice: MailChoice) -> Self {
        match (choice.keep_mail, choice.delete_mail) {
            (true, _) => Some(Mail::Keep),
            (_, true) => Some(Mail::Delete),
            _ => None,
        }
    }
}

fn table(users: &[User]) -> Table {
    let mut table = Table::new(["ADDRESS", "ACCOUNT", "OCTETS", "HELD"]);
    for user in users {
        let held = user.held.clone().unwrap_or_default();
        table.row([user.address.to_string(), user.account.to_string(), user.octets.to_string(), held]);
    }
    table
}
