//! `postern-home notices`.

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::NoticesCommand;
use super::client::Client;
use super::table::{Table, minute};
use crate::admin::wire::Done;
use crate::notices::{Entry, Outcome};

const PATH: &str = "/v1/notices";

pub(super) fn execute(client: &Client, command: NoticesCommand) -> Result<Exit, Failure> {
    match command {
        NoticesCommand::List => {
            let entries: Vec<Entry> = client.fetch(PATH)?;
            client.print(&entries, table(&entries))
        }
        NoticesCommand::Test => {
            let outcomes: Vec<Outcome> = client.call(Method::POST, &format!("{PATH}/test"), &Done {})?;
            client.print(&outcomes, sentences(&outcomes))?;
            Ok(if outcomes.iter().all(Outcome::is_taken) { Exit::Done } else { Exit::Failed })
        }
    }
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new(["ABOUT", "WHICH", "SINCE", "ENDED", "TOLD", "WHAT"]);
    for entry in entries {
        let ended = entry.ended.map(minute).unwrap_or_default();
        let told = entry.told.map_or("not yet".to_owned(), |told| minute(told.at));
        let text = entry.text.lines().next().unwrap_or_default().to_owned();
        table.row([entry.kind.to_string(), entry.subject.clone(), minute(entry.since), ended, told, text]);
    }
    table
}

fn sentences(outcomes: &[Outcome]) -> String {
    let sentence = |Outcome { way, error }: &Outcome| match error {
        None => format!("{way}: taken"),
        Some(error) => format!("{way}: not taken: {error}"),
    };
    outcomes.iter().map(sentence).collect::<Vec<_>>().join("\n")
}
