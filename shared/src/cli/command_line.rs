//! From the arguments to a carried-out command.
//!
//! In: the arguments, and the program's command line as clap knows it. Out: the outcome of the command, or what `--help`
//! and `--version` print. Refused: wrong use, as one paragraph and [`Exit::Usage`](super::Exit::Usage).

use std::ffi::OsString;

use clap::{Command, Parser};

use super::{Exit, Failure, Output, write_stdout};

/// Parses the arguments and carries out the command with `execute`.
///
/// # Errors
/// The failure and the form in which it is to be reported.
pub fn main<C: Parser>(
    arguments: Vec<OsString>,
    execute: impl FnOnce(C) -> Result<Exit, Failure>,
) -> Result<Exit, (Failure, Output)> {
    let output = Output::from_switch(arguments.iter().any(|argument| argument == "--json"));
    let parsed = told_what_is_missing(C::command()).try_get_matches_from(arguments);
    let outcome = match parsed.and_then(|matches| C::from_arg_matches(&matches)) {
        Ok(cli) => execute(cli),
        Err(error) if error.use_stderr() => Err(Failure::usage(paragraph(&error.render().to_string()))),
        Err(help_or_version) => write_stdout(&help_or_version.render().to_string()).map(|()| Exit::Done),
    };
    outcome.map_err(|failure| (failure, output))
}

/// Where a command is missing clap would give the whole help as the error.
fn told_what_is_missing(command: Command) -> Command {
    command.arg_required_else_help(false).mut_subcommands(told_what_is_missing)
}

/// Makes sentences of clap's error: what is wrong, the nearest right spelling, the usage.
fn paragraph(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let parts = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let sentences = parts.filter(|part| !part.is_empty()).map(|part| match part.split_once(' ') {
        Some(("Usage:", usage)) => format!("Usage: `{usage}`."),
        Some(("For", _)) => "`--help` tells more.".to_owned(),
        Some(("tip:", tip)) => format!("Tip: {tip}."),
        _ if part.ends_with(['.', '?']) => part,
        _ => format!("{part}."),
    });
    sentences.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Subcommand;

    #[derive(Debug, Parser)]
    #[command(name = "example", version)]
    struct Example {
        #[arg(long, global = true)]
        json: bool,
        #[command(subcommand)]
        command: Order,
    }

    #[derive(Debug, Subcommand)]
    enum Order {
        /// Mail on its way
        #[command(subcommand)]
        Queue(Queue),
    }

    #[derive(Debug, Subcommand)]
    enum Queue {
        /// Show one
        Show { id: u32 },
    }

    fn refusal(arguments: &[&str]) -> (Failure, Output) {
        let arguments = ["example"].iter().chain(arguments).map(OsString::from).collect();
        main(arguments, |cli: Example| panic!("{cli:?} was accepted")).expect_err("refused")
    }

    #[test]
    fn wrong_use_is_told_in_whole_sentences() {
        let (failure, output) = refusal(&["queue", "shwo", "--json"]);
        assert_eq!((failure.exit, output), (Exit::Usage, Output::Json));
        assert_eq!(
            failure.message,
            "unrecognized subcommand 'shwo'. Tip: a similar subcommand exists: 'show'. \
             Usage: `example queue [OPTIONS] <COMMAND>`. `--help` tells more."
        );
        let value = refusal(&["queue", "show", "x"]).0.message;
        assert!(value.ends_with("invalid digit found in string. `--help` tells more."), "{value}");
    }

    #[test]
    fn a_missing_command_is_told_without_the_whole_help() {
        for arguments in [&[] as &[&str], &["queue"]] {
            let message = refusal(arguments).0.message;
            assert!(message.contains("requires a subcommand"), "{message}");
            assert!(!message.contains("Options:"), "{message}");
        }
    }
}
