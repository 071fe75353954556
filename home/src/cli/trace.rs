//! `postern-home trace`: what became of a message, in plain words.

use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_store::journal::Story;

use super::client::Client;
use crate::admin::wire::Trace;

/// `--since` is a time ago.
pub(super) fn execute(client: &Client, of: String, since: Option<Duration>) -> Result<Exit, Failure> {
    let since = since.map(|ago| earlier(Timestamp::now(), ago));
    let asked = Trace { of, since };
    let stories: Vec<Story> = client.call(Method::POST, "/v1/trace", &asked)?;
    if stories.is_empty() {
        return client.print(&stories, format_args!("The journal tells nothing of {}.", asked.of));
    }
    client.print(&stories, text(&stories))
}

fn earlier(now: Timestamp, ago: Duration) -> Timestamp {
    let ago = SignedDuration::try_from(ago).unwrap_or(SignedDuration::MAX);
    now.checked_sub(ago).unwrap_or(Timestamp::MIN)
}

/// Each story under its id, a line for each event; times in UTC, as in the log.
fn text(stories: &[Story]) -> String {
    let mut text = String::new();
    for story in stories {
        if !text.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "{}", story.id);
        for line in &story.lines {
            // A stranger's words may hold control characters.
            let words = line.event.to_string().replace(char::is_control, " ");
            let _ = writeln!(text, "  {}  {words}", line.moment.strftime("%Y-%m-%d %H:%M:%SZ"));
        }
    }
    text
}
