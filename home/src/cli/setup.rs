//! `postern-home setup`: from an empty home to one that waits for the world, a step at a time.
//!
//! In: a file of answers, or a person at a terminal. Out: a tick for each step, then what the doctor sees. Refused: changing what is
//! there already; a step that is done is passed over, so that the command can be run again whenever something went wrong.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use postern_message::address::{DomainName, EmailAddress};
use postern_shared::cli::{Exit, Failure};
use postern_shared::config;
use postern_shared::http::Method;
use postern_shared::join_code::{Endpoint, JoinCode};
use postern_store::directory::DnsHosting;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::{doctor, join, secret};
use crate::admin::wire::{AddDomain, AddUser, Domain, Done, Join, JoinWaiting, User};
use crate::doctor::Report;
use crate::link::{EdgeAddresses, LinkState};
use crate::status::Status;

/// A file of answers (TOML).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answers {
    /// The domain.
    domain: Option<DomainName>,
    /// The first user.
    user: Option<EmailAddress>,
    /// Where the user's password is: the first line of a file.
    password_file: Option<PathBuf>,
    /// Where the code is that `postern-edge invite` printed.
    join_code_file: Option<PathBuf>,
    /// Or the address of an edge that waits for this home.
    edge: Option<String>,
}

/// A step, and whether it was done before.
#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    which: String,
    already: bool,
}

/// What is printed for programs.
#[derive(Debug, Serialize)]
struct SetUp {
    steps: Vec<Step>,
    doctor: Report,
}

pub(super) fn setup(client: &Client, answers: Option<&Path>) -> Result<Exit, Failure> {
    let is_asked = answers.is_none();
    if is_asked && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Failure::usage(
            "there is no terminal to ask on. Give the answers in a file: `postern-home setup --answers FILE`.",
        ));
    }
    let answers = answers.map(read).transpose()?.unwrap_or_default();
    let status: Status = client.fetch("/v1/status")?;
    let mut told = Told { client, steps: Vec::new() };
    told.step("edge", edge(client, &answers, &status, is_asked)?);
    let domain = domain(client, &answers, &status, is_asked)?;
    told.step("domain", domain);
    told.step("user", user(client, &answers, is_asked)?);
    if is_asked && !client.is_for_programs() {
        println!(
            "\nThe rest comes by itself, or from others. This turns green as it does; Ctrl-C leaves it.\n"
        );
        return doctor::doctor(client, true);
    }
    let report: Report = client.fetch("/v1/doctor")?;
    if client.is_for_programs() {
        return client.print(&SetUp { steps: told.steps, doctor: report }, "");
    }
    client.print(&report, format_args!("\n{report}"))
}

/// Prints the steps as they are done.
struct Told<'a> {
    client: &'a Client,
    steps: Vec<Step>,
}

impl Told<'_> {
    fn step(&mut self, step: &'static str, (which, already): (String, bool)) {
        if !self.client.is_for_programs() {
            println!("✓ {step:<7} {which}{}", if already { ", as before" } else { "" });
        }
        self.steps.push(Step { step, which, already });
    }
}

fn read(path: &Path) -> Result<Answers, Failure> {
    config::load(path).map_err(|error| Failure::usage(error.to_string()))
}

fn missing(key: &str, what: &str) -> Failure {
    Failure::usage(format!("the answers lack `{key}`: {what}."))
}

fn edge(
    client: &Client,
    answers: &Answers,
    status: &Status,
    is_asked: bool,
) -> Result<(String, bool), Failure> {
    if status.link.state != LinkState::Unjoined {
        return Ok((status.link.edge.clone().unwrap_or_default(), true));
    }
    let joined: EdgeAddresses = match (&answers.join_code_file, &answers.edge) {
        (None, Some(address)) => {
            let edge: Endpoint =
                join::parse_edge(address).map_err(|error| Failure::usage(format!("`edge`: {error}.")))?;
            client.call(Method::POST, "/v1/join/waiting", &JoinWaiting { edge, edge_key: None })?
        }
        (None, None) if !is_asked => {
            return Err(missing(
                "join_code_file",
                "the file with the code that `postern-edge invite` printed; or `edge`, the address of an edge that waits for this home",
            ));
        }
        (file, _) => {
            let code = secret::join_code(file.as_deref())?;
            code.parse::<JoinCode>().map_err(|error| Failure::failed(format!("{error}.")))?;
            client.call(Method::POST, "/v1/join", &Join { code })?
        }
    };
    let public: Vec<String> = joined.public.iter().map(ToString::to_string).collect();
    Ok((public.join(", "), false))
}

fn domain(
    client: &Client,
    answers: &Answers,
    status: &Status,
    is_asked: bool,
) -> Result<(String, bool), Failure> {
    let name = match &answers.domain {
        Some(name) => name.clone(),
        None if !status.domains.is_empty() => return Ok((listed(&status.domains), true)),
        None if is_asked => ask("The domain for mail, such as home.example: ")?,
        None => return Err(missing("domain", "the domain for mail")),
    };
    let domains: Vec<Domain> = client.fetch("/v1/domains")?;
    if domains.iter().any(|domain| domain.name == name) {
        return Ok((name.to_string(), true));
    }
    let request = AddDomain { name: name.clone(), dns: DnsHosting::default() };
    let _: Done = client.call(Method::POST, "/v1/domains", &request)?;
    Ok((name.to_string(), false))
}

fn user(client: &Client, answers: &Answers, is_asked: bool) -> Result<(String, bool), Failure> {
    let users: Vec<User> = client.fetch("/v1/users")?;
    let address = match &answers.user {
        Some(address) => address.clone(),
        None if !users.is_empty() => {
            return Ok((listed(users.iter().map(|user| &user.address)), true));
        }
        None if is_asked => ask("Your address, such as ana@home.example: ")?,
        None => return Err(missing("user", "the address of the first user")),
    };
    if users.iter().any(|user| user.address == address) {
        return Ok((address.to_string(), true));
    }
    if answers.password_file.is_none() && !is_asked {
        return Err(missing("password_file", "the file whose first line is the user's password"));
    }
    let password = secret::new_password(&address, answers.password_file.as_deref())?;
    let _: User = client.call(Method::POST, "/v1/users", &AddUser { address: address.clone(), password })?;
    Ok((address.to_string(), false))
}

fn listed<T: Display>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

/// Asks until the answer can be read.
fn ask<T: std::str::FromStr<Err: Display>>(question: &str) -> Result<T, Failure> {
    loop {
        print!("{question}");
        let mut line = String::new();
        let read = io::stdout().flush().and_then(|()| io::stdin().read_line(&mut line));
        if read.map_err(|error| Failure::failed(format!("the terminal: {error}.")))? == 0 {
            return Err(Failure::failed(
                "there was no answer. Nothing more was changed; run the command again.",
            ));
        }
        match line.trim().parse() {
            Ok(answer) => return Ok(answer),
            Err(error) => println!("{error}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::config::Source;

    use super::*;

    #[test]
    fn an_answer_that_nobody_asked_for_is_named_with_its_line() {
        let parse = |text| Source::from_text(Path::new("answers.toml"), text).parse::<Answers>();
        let error =
            parse("domain = \"home.example\"\npasword_file = \"/root/p\"\n").expect_err("a misspelt key");
        let error = error.to_string();
        assert!(error.contains("answers.toml, line 2") && error.contains("password_file"), "{error}");
        let right = parse("user = \"ana@home.example\"\n").expect("answers");
        assert_eq!(right.user.map(|user| user.to_string()).as_deref(), Some("ana@home.example"));
    }
}
