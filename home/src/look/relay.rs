//! Whether a stranger could send mail through a server to whom he likes: the open-relay test.
//!
//! In: a connection to port 25, the mail host's name, a domain of the server's. Out: which forms of a foreign recipient it
//! takes (RFC 5321 §3.6.1, §4.1.1.3). Refused: sending. After each sender comes RSET, DATA never does, and a look ends with
//! QUIT, so no message exists at any time.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::line::{reply, say};
use super::port::CLIENT;

/// What the test found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelaySeen {
    /// How many pairs of sender and recipient were tried.
    pub tried: usize,
    /// The pairs that the server took, with its reply.
    pub accepted: Vec<String>,
    /// Why the test ended before its end.
    pub ended: Option<String>,
}

/// Tries. The server is one that has not greeted yet.
pub async fn look(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mail_host: &str,
    domain: &str,
) -> RelaySeen {
    let mut seen = RelaySeen::default();
    if let Err(error) = try_all(stream, &mut seen, mail_host, domain).await {
        seen.ended = Some(error.to_string());
    }
    // What the server says to that changes nothing.
    let _ = say(stream, "QUIT").await;
    seen
}

async fn try_all(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    seen: &mut RelaySeen,
    mail_host: &str,
    domain: &str,
) -> io::Result<()> {
    let greeting = reply(stream).await?;
    if greeting.code != 220 {
        return Err(io::Error::other(format!("the server greets with `{}`", greeting.first())));
    }
    say(stream, &format!("EHLO {CLIENT}")).await?;
    for sender in senders(domain) {
        let mail = say(stream, &format!("MAIL FROM:<{sender}>")).await?;
        for recipient in recipients(mail_host) {
            if !mail.is_positive() {
                break;
            }
            seen.tried += 1;
            let answer = say(stream, &format!("RCPT TO:<{recipient}>")).await?;
            if answer.is_positive() {
                seen.accepted.push(format!("from <{sender}> to <{recipient}>: {}", answer.first()));
            }
        }
        seen.tried += usize::from(!mail.is_positive());
        say(stream, "RSET").await?;
    }
    Ok(())
}

/// Nobody, a stranger, and somebody who claims to be of the house.
fn senders(domain: &str) -> [String; 3] {
    [String::new(), "relay-test@example.org".to_owned(), format!("postmaster@{domain}")]
}

/// A foreign address, plainly and in the forms that servers have fallen for. The domains are nobody's (RFC 6761 §6.5), and
/// the mail host takes no mail for itself.
fn recipients(mail_host: &str) -> [String; 5] {
    [
        "relay-test@example.com".to_owned(),
        format!("relay-test%example.com@{mail_host}"),
        format!("\"relay-test@example.com\"@{mail_host}"),
        format!("@{mail_host}:relay-test@example.com"),
        format!("example.com!relay-test@{mail_host}"),
    ]
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;

    /// A server that answers each command by `answer`; gives back what it heard.
    async fn against(answer: fn(&str) -> &'static str) -> (RelaySeen, Vec<String>) {
        let (mut client, server) = tokio::io::duplex(4096);
        let serving = tokio::spawn(async move {
            let (reading, mut writing) = tokio::io::split(server);
            let mut lines = BufReader::new(reading).lines();
            let mut heard = Vec::new();
            writing.write_all(b"220 mail.home.example ESMTP\r\n").await.expect("written");
            while let Ok(Some(command)) = lines.next_line().await {
                writing.write_all(format!("{}\r\n", answer(&command)).as_bytes()).await.expect("written");
                heard.push(command);
            }
            heard
        });
        let seen = look(&mut client, "mail.home.example", "home.example").await;
        drop(client);
        (seen, serving.await.expect("served"))
    }

    #[tokio::test]
    async fn a_server_that_refuses_everything_is_no_relay() {
        let (seen, heard) =
            against(|command| if command.starts_with("RCPT") { "550 5.7.1 no" } else { "250 yes" }).await;
        assert_eq!(seen, RelaySeen { tried: 15, ..RelaySeen::default() });
        assert_eq!(heard.iter().filter(|command| *command == "RSET").count(), 3);
        assert!(!heard.iter().any(|command| command.starts_with("DATA") || command.starts_with("BDAT")));
        assert_eq!(heard.last().map(String::as_str), Some("QUIT"));
    }

    #[tokio::test]
    async fn what_is_accepted_is_named_and_taken_back() {
        let (seen, heard) = against(|command| {
            let is_foreign = command.starts_with("RCPT") && !command.contains('%');
            if is_foreign { "550 5.7.1 no" } else { "250 yes" }
        })
        .await;
        assert_eq!(seen.accepted.len(), 3);
        assert!(seen.accepted[0].contains("relay-test%example.com@mail.home.example"), "{seen:?}");
        assert!(heard.ends_with(&["RSET".to_owned(), "QUIT".to_owned()]), "{heard:?}");
    }

    #[tokio::test]
    async fn a_sender_who_is_turned_away_is_no_way_through_and_a_hang_up_is_told() {
        let (seen, _) =
            against(|command| if command.starts_with("MAIL") { "550 no" } else { "250 yes" }).await;
        assert_eq!((seen.tried, seen.accepted.len(), seen.ended), (3, 0, None));
        let (mut client, server) = tokio::io::duplex(64);
        drop(server);
        assert!(look(&mut client, "mail.home.example", "home.example").await.ended.is_some());
    }
}
