//! The commands: one file each, with its syntax and what it does.
//!
//! To add one: write its file with `parse`, `encode` and a `Task`; add a variant to [`Body`] and an arm to each
//! of the tables below; name its capability in `capability.rs`; add a transcript. RFC 9051 §6.

mod append;
mod authenticate;
mod capability;
mod close;
mod compress;
mod copy;
mod create;
mod delete;
mod enable;
mod expunge;
mod fetch;
mod get_acl;
mod get_metadata;
mod id;
mod idle;
mod list;
mod list_rights;
mod login;
mod logout;
mod lsub;
mod my_rights;
mod namespace;
mod noop;
mod notify;
mod quota;
mod rename;
mod replace;
mod search;
mod select;
mod set_acl;
mod set_metadata;
mod sort;
mod status;
mod store;
mod subscribe;
mod thread;
mod unauthenticate;

use crate::parser::{ParseError, Parser, Result};
use crate::response::Completion;
use crate::session::core::{Core, Numbering, State};
use crate::session::task::Task;
use crate::types::NameEncoding;

pub use append::{Append, AppendMessage, Piece};
pub use authenticate::Authenticate;
pub(crate) use capability::words as capability_words;
pub use close::Close;
pub use compress::Compress;
pub use copy::Copy;
pub use create::Create;
pub use delete::Delete;
pub use enable::Enable;
pub use expunge::Expunge;
pub use fetch::{Fetch, FetchModifiers, Vanished, header_fields};
pub use get_acl::GetAcl;
pub(crate) use get_metadata::tell_annotated;
pub use get_metadata::{Depth, GetMetadata};
pub use id::Id;
pub(crate) use list::{Extended, NameTree, tell_name};
pub use list::{List, ListReturn, ListSelection};
pub use list_rights::ListRights;
pub use login::Login;
pub use lsub::Lsub;
pub use my_rights::MyRights;
pub use noop::Noop;
pub use notify::{Event, EventGroup, Filter, Notify, StatusIndicator};
pub use quota::GetQuota;
pub use rename::Rename;
pub use replace::{Replace, Replaced};
pub use search::{CharsetLabel, Search, SearchReturn};
pub use select::{QResync, Select, SelectParameter};
pub use set_acl::SetAcl;
pub use set_metadata::SetMetadata;
pub use sort::Sort;
pub use status::Status;
pub(crate) use status::tell as tell_status;
pub use store::{Store, StoreResponse};
pub use subscribe::Subscribe;
pub use thread::Thread;

/// A command and the tag that its completion will bear.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Chosen by the client.
    pub tag: String,
    /// What to do.
    pub body: Body,
}

/// Every command. APPEND and REPLACE are read while their literals are still to come ([`parse_append`]), unless there are
/// none.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant is the command of that name, documented in its file")]
pub enum Body {
    Append(Append),
    Authenticate(Authenticate),
    Capability,
    Close(Close),
    Compress(Compress),
    Copy(Copy),
    Create(Create),
    Delete(Delete),
    Enable(Enable),
    Expunge(Expunge),
    Fetch(Fetch),
    GetAcl(GetAcl),
    GetMetadata(GetMetadata),
    GetQuota(GetQuota),
    Id(Id),
    Idle,
    List(List),
    ListRights(ListRights),
    Login(Login),
    Logout,
    Lsub(Lsub),
    MyRights(MyRights),
    Namespace,
    Noop(Noop),
    Notify(Notify),
    Rename(Rename),
    Search(Search),
    Select(Select),
    SetAcl(SetAcl),
    SetMetadata(SetMetadata),
    Sort(Sort),
    Status(Status),
    Store(Store),
    Subscribe(Subscribe),
    Thread(Thread),
    Unauthenticate,
}

/// Reads a whole command. An error bears the tag, or `*` where there is none.
pub fn parse(command: &[u8], names: NameEncoding) -> std::result::Result<Command, (String, ParseError)> {
    let mut parser = Parser::new(command, names);
    let tag = parser.tag().map_err(|error| ("*".to_owned(), error))?.to_owned();
    match body(&mut parser) {
        Ok(body) => Ok(Command { tag, body }),
        Err(error) => Err((tag, error)),
    }
}

/// Reads an APPEND up to the literal that is its message. `None`: this is another command, or an APPEND whose
/// mailbox is itself a literal; collect the literal and look again.
pub fn parse_append(
    prefix: &[u8],
    names: NameEncoding,
) -> Option<std::result::Result<(String, Append), (String, ParseError)>> {
    let mut parser = Parser::new(prefix, names);
    let tag = parser.tag().ok()?.to_owned();
    parser.space().ok()?;
    match append(&mut parser)? {
        Ok(append) => Some(Ok((tag, append))),
        Err(ParseError::Incomplete) => None,
        Err(error) => Some(Err((tag, error))),
    }
}

/// APPEND, REPLACE or UID REPLACE, to its first literal.
fn append(parser: &mut Parser<'_>) -> Option<Result<Append>> {
    if parser.eat_keyword("APPEND") {
        return Some(Append::parse(parser));
    }
    let numbering = if parser.eat_keyword("UID") { Numbering::Uid } else { Numbering::Sequence };
    if numbering == Numbering::Uid {
        parser.space().ok()?;
    }
    parser.eat_keyword("REPLACE").then(|| Replace::parse(numbering, parser))
}

/// The tag of a command that has not been parsed; `*` where there is none.
pub fn tag_of(command: &[u8]) -> &str {
    Parser::new(command, NameEncoding::Utf8).tag().unwrap_or("*")
}

fn body(parser: &mut Parser<'_>) -> Result<Body> {
    parser.space()?;
    let name = parser.keyword()?;
    let body = match name.as_str() {
        "UID" => uid_body(parser)?,
        _ => plain_body(&name, parser)?,
    };
    parser.end()?;
    Ok(body)
}

fn plain_body(name: &str, parser: &mut Parser<'_>) -> Result<Body> {
    Ok(match name {
        "APPEND" => Body::Append(Append::parse(parser)?.without_literals()?),
        "AUTHENTICATE" => Body::Authenticate(Authenticate::parse(parser)?),
        "CAPABILITY" => Body::Capability,
        "CHECK" => Body::Noop(Noop::Check),
        "CLOSE" => Body::Close(Close::Expunging),
        "COMPRESS" => Body::Compress(Compress::parse(parser)?),
        "COPY" | "MOVE" => Body::Copy(Copy::parse(name, Numbering::Sequence, parser)?),
        "CREATE" => Body::Create(Create::parse(parser)?),
        "DELETE" => Body::Delete(Delete::parse(parser)?),
        "DELETEACL" | "SETACL" => Body::SetAcl(SetAcl::parse(name, parser)?),
        "ENABLE" => Body::Enable(Enable::parse(parser)?),
        "EXAMINE" | "SELECT" => Body::Select(Select::parse(name, parser)?),
        "EXPUNGE" => Body::Expunge(Expunge { uids: None }),
        "FETCH" => Body::Fetch(Fetch::parse(Numbering::Sequence, parser)?),
        "GETACL" => Body::GetAcl(GetAcl::parse(parser)?),
        "GETMETADATA" => Body::GetMetadata(GetMetadata::parse(parser)?),
        "GETQUOTA" => Body::GetQuota(GetQuota::parse_root(parser)?),
        "GETQUOTAROOT" => Body::GetQuota(GetQuota::parse_mailbox(parser)?),
        "ID" => Body::Id(Id::parse(parser)?),
        "IDLE" => Body::Idle,
        "LIST" => Body::List(List::parse(parser)?),
        "LISTRIGHTS" => Body::ListRights(ListRights::parse(parser)?),
        "LOGIN" => Body::Login(Login::parse(parser)?),
        "LOGOUT" => Body::Logout,
        "LSUB" => Body::Lsub(Lsub::parse(parser)?),
        "MYRIGHTS" => Body::MyRights(MyRights::parse(parser)?),
        "NAMESPACE" => Body::Namespace,
        "NOOP" => Body::Noop(Noop::Noop),
        "NOTIFY" => Body::Notify(Notify::parse(parser)?),
        "RENAME" => Body::Rename(Rename::parse(parser)?),
        "REPLACE" => Body::Append(Replace::parse(Numbering::Sequence, parser)?.without_literals()?),
        "SEARCH" => Body::Search(Search::parse(Numbering::Sequence, parser)?),
        "SETMETADATA" => Body::SetMetadata(SetMetadata::parse(parser)?),
        "SORT" => Body::Sort(Sort::parse(Numbering::Sequence, parser)?),
        "STATUS" => Body::Status(Status::parse(parser)?),
        "STORE" => Body::Store(Store::parse(Numbering::Sequence, parser)?),
        "SUBSCRIBE" | "UNSUBSCRIBE" => Body::Subscribe(Subscribe::parse(name, parser)?),
        "THREAD" => Body::Thread(Thread::parse(Numbering::Sequence, parser)?),
        "UNAUTHENTICATE" => Body::Unauthenticate,
        "UNSELECT" => Body::Close(Close::Keeping),
        _ => return Err(ParseError::UnknownCommand),
    })
}

/// RFC 9051 §6.4.9; RFC 4315 §2.1 (UID EXPUNGE).
fn uid_body(parser: &mut Parser<'_>) -> Result<Body> {
    parser.space()?;
    let name = parser.keyword()?;
    Ok(match name.as_str() {
        "COPY" | "MOVE" => Body::Copy(Copy::parse(&name, Numbering::Uid, parser)?),
        "EXPUNGE" => Body::Expunge(Expunge::parse_uid(parser)?),
        "FETCH" => Body::Fetch(Fetch::parse(Numbering::Uid, parser)?),
        "REPLACE" => Body::Append(Replace::parse(Numbering::Uid, parser)?.without_literals()?),
        "SEARCH" => Body::Search(Search::parse(Numbering::Uid, parser)?),
        "SORT" => Body::Sort(Sort::parse(Numbering::Uid, parser)?),
        "STORE" => Body::Store(Store::parse(Numbering::Uid, parser)?),
        "THREAD" => Body::Thread(Thread::parse(Numbering::Uid, parser)?),
        _ => return Err(ParseError::UnknownCommand),
    })
}

/// When a command may be given (RFC 9051 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    BeforeLogin,
    AfterLogin,
    Selected,
}

/// Refuses a command in the wrong state.
pub(crate) fn permitted(body: &Body, core: &Core) -> std::result::Result<(), Completion> {
    let logged_in = core.state != State::NotAuthenticated;
    match body.when() {
        When::BeforeLogin if logged_in => Err(Completion::bad("Already logged in")),
        When::AfterLogin | When::Selected if !logged_in => Err(Completion::bad("Please log in first")),
        When::Selected if core.selected.is_none() => Err(Completion::bad("No mailbox selected")),
        _ => Ok(()),
    }
}

impl Body {
    fn when(&self) -> When {
        match self {
            Body::Capability | Body::Id(_) | Body::Logout | Body::Noop(Noop::Noop) => When::Always,
            Body::Authenticate(_) | Body::Login(_) => When::BeforeLogin,
            Body::Append(Append { replaces: Some(_), .. }) => When::Selected,
            Body::Append(_)
            | Body::Compress(_)
            | Body::Create(_)
            | Body::Delete(_)
            | Body::Enable(_)
            | Body::GetAcl(_)
            | Body::GetMetadata(_)
            | Body::GetQuota(_)
            | Body::Idle
            | Body::List(_)
            | Body::ListRights(_)
            | Body::Lsub(_)
            | Body::MyRights(_)
            | Body::Namespace
            | Body::Notify(_)
            | Body::Rename(_)
            | Body::Select(_)
            | Body::SetAcl(_)
            | Body::SetMetadata(_)
            | Body::Status(_)
            | Body::Subscribe(_)
            | Body::Unauthenticate => When::AfterLogin,
            Body::Close(_)
            | Body::Copy(_)
            | Body::Expunge(_)
            | Body::Fetch(_)
            | Body::Noop(Noop::Check)
            | Body::Search(_)
            | Body::Sort(_)
            | Body::Store(_)
            | Body::Thread(_) => When::Selected,
        }
    }

    pub(crate) fn into_task(self) -> Box<dyn Task> {
        match self {
            Body::Append(append) => append.into_task(None),
            Body::Authenticate(authenticate) => authenticate.into_task(),
            Body::Capability => Box::new(capability::Capability),
            Body::Close(close) => Box::new(close),
            Body::Compress(compress) => Box::new(compress),
            Body::Copy(copy) => Box::new(copy),
            Body::Create(create) => Box::new(create),
            Body::Delete(delete) => Box::new(delete),
            Body::Enable(enable) => Box::new(enable),
            Body::Expunge(expunge) => Box::new(expunge),
            Body::Fetch(fetch) => fetch.into_task(),
            Body::GetAcl(acl) => Box::new(acl),
            Body::GetMetadata(metadata) => Box::new(metadata),
            Body::GetQuota(quota) => Box::new(quota),
            Body::Id(id) => Box::new(id),
            Body::Idle => Box::new(idle::Idle::default()),
            Body::List(list) => list.into_task(),
            Body::ListRights(rights) => Box::new(rights),
            Body::Login(login) => Box::new(login),
            Body::Logout => Box::new(logout::Logout),
            Body::Lsub(lsub) => Box::new(lsub),
            Body::MyRights(rights) => Box::new(rights),
            Body::Namespace => Box::new(namespace::Namespace),
            Body::Noop(noop) => Box::new(noop),
            Body::Notify(notify) => Box::new(notify),
            Body::Rename(rename) => Box::new(rename),
            Body::Search(search) => Box::new(search),
            Body::Select(select) => Box::new(select),
            Body::SetAcl(acl) => Box::new(acl),
            Body::SetMetadata(metadata) => Box::new(metadata),
            Body::Sort(sort) => Box::new(sort),
            Body::Status(status) => Box::new(status),
            Body::Store(store) => Box::new(store),
            Body::Subscribe(subscribe) => Box::new(subscribe),
            Body::Thread(thread) => Box::new(thread),
            Body::Unauthenticate => Box::new(unauthenticate::Unauthenticate),
        }
    }
}

impl Command {
    /// Writes the command as a client would, without the final CRLF.
    pub fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(self.tag.as_bytes());
        out.push(b' ');
        self.body.encode(names, out);
    }
}

impl Body {
    fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        let mut word = |text: &str| out.extend_from_slice(text.as_bytes());
        match self {
            Body::Append(append) => append.encode(names, out),
            Body::Authenticate(authenticate) => authenticate.encode(out),
            Body::Capability => word("CAPABILITY"),
            Body::Close(close) => word(close.name()),
            Body::Compress(Compress) => word("COMPRESS DEFLATE"),
            Body::Copy(copy) => copy.encode(names, out),
            Body::Create(create) => create.encode(names, out),
            Body::Delete(delete) => delete.encode(names, out),
            Body::Enable(enable) => enable.encode(out),
            Body::Expunge(expunge) => expunge.encode(out),
            Body::Fetch(fetch) => fetch.encode(out),
            Body::GetAcl(acl) => acl.encode(names, out),
            Body::GetMetadata(metadata) => metadata.encode(names, out),
            Body::GetQuota(quota) => quota.encode(names, out),
            Body::Id(id) => id.encode(out),
            Body::Idle => word("IDLE"),
            Body::List(list) => list.encode(names, out),
            Body::ListRights(rights) => rights.encode(names, out),
            Body::Login(login) => login.encode(out),
            Body::Logout => word("LOGOUT"),
            Body::Lsub(lsub) => lsub.encode(names, out),
            Body::MyRights(rights) => rights.encode(names, out),
            Body::Namespace => word("NAMESPACE"),
            Body::Noop(noop) => word(noop.name()),
            Body::Notify(notify) => notify.encode(names, out),
            Body::Rename(rename) => rename.encode(names, out),
            Body::Search(search) => search.encode(out),
            Body::Select(select) => select.encode(names, out),
            Body::SetAcl(acl) => acl.encode(names, out),
            Body::SetMetadata(metadata) => metadata.encode(names, out),
            Body::Sort(sort) => sort.encode(out),
            Body::Status(status) => status.encode(names, out),
            Body::Store(store) => store.encode(out),
            Body::Subscribe(subscribe) => subscribe.encode(names, out),
            Body::Thread(thread) => thread.encode(out),
            Body::Unauthenticate => word("UNAUTHENTICATE"),
        }
    }
}

/// Writes `UID ` before the command's name where it takes UIDs.
fn encode_name(numbering: Numbering, name: &str, out: &mut Vec<u8>) {
    if numbering == Numbering::Uid {
        out.extend_from_slice(b"UID ");
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b' ');
}
