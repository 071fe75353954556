//! The reports as text.

use super::*;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn recipient(address: &str, status: &str, diagnostic: Option<Diagnostic>) -> ReportedRecipient {
    ReportedRecipient {
        final_recipient: address.parse().unwrap(),
        original_recipient: None,
        status: status.into(),
        remote_mta: diagnostic.is_some().then(|| "mx.far.example".into()),
        diagnostic,
        last_attempt: time("2026-03-01T10:05:00Z"),
    }
}

fn report(action: Action, recipients: &[ReportedRecipient]) -> String {
    let report = Report {
        reporting_mta: &"mail.home.example".parse().unwrap(),
        from: &"postmaster@home.example".parse().unwrap(),
        to: &"ana@home.example".parse().unwrap(),
        unique: "1f2e.d3",
        date: time("2026-03-01T10:06:00Z"),
        arrived: time("2026-03-01T10:00:00Z"),
        deliver_by: Some(time("2026-03-01T10:05:00Z")),
        envelope_id: Some("QQ 1"),
        action,
        recipients,
        returned: Returned::Headers(b"Subject: hello\r\n"),
    };
    String::from_utf8(compose(&report)).unwrap()
}

#[test]
fn a_failure_says_what_happened_and_quotes_the_server() {
    let reply = Diagnostic::Smtp("550-5.1.1 no such user\n550 5.1.1 really".into());
    let text = report(Action::Failed, &[recipient("bo@far.example", "5.1.1", Some(reply))]);
    let expected = "From: Mail delivery <postmaster@home.example>\r
To: <ana@home.example>\r
Subject: Not delivered: bo@far.example\r
Date: Sun, 1 Mar 2026 10:06:00 +0000\r
Message-ID: <1f2e.d3@mail.home.example>\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status;\r
\tboundary=\"report-1f2e.d3\"\r
\r
This is a delivery report.\r
\r
--report-1f2e.d3\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: 8bit\r
Content-Language: en\r
\r
Your message of 1 March 2026, 10:00 UTC could not be delivered to:\r
\r
  bo@far.example\r
    There is no such mailbox there. Please check the address for a slip of the pen.\r
    mx.far.example answered:\r
      550-5.1.1 no such user\r
      550 5.1.1 really\r
\r
No further attempt will be made. The message, or its header, is attached.\r
\r
--report-1f2e.d3\r
Content-Type: message/delivery-status\r
\r
Original-Envelope-Id: QQ 1\r
Reporting-MTA: dns; mail.home.example\r
Arrival-Date: Sun, 1 Mar 2026 10:00:00 +0000\r
Deliver-By-Date: Sun, 1 Mar 2026 10:05:00 +0000\r
\r
Final-Recipient: rfc822; bo@far.example\r
Action: failed\r
Status: 5.1.1\r
Remote-MTA: dns; mx.far.example\r
Diagnostic-Code: smtp; 550-5.1.1 no such user\r
 550 5.1.1 really\r
Last-Attempt-Date: Sun, 1 Mar 2026 10:05:00 +0000\r
\r
--report-1f2e.d3\r
Content-Type: text/rfc822-headers\r
Content-Transfer-Encoding: 7bit\r
\r
Subject: hello\r
\r
--report-1f2e.d3--\r
";
    assert_eq!(text, expected);
}

#[test]
fn a_delay_names_the_day_of_giving_up() {
    let until = time("2026-03-06T10:00:00Z");
    let reason = Diagnostic::Local("no connection".into());
    let text = report(Action::Delayed { until }, &[recipient("bo@far.example", "4.4.1", Some(reason))]);
    assert!(text.contains("Subject: Delayed: bo@far.example\r\n"));
    assert!(text.contains("tried again until 6 March 2026, 10:00 UTC"));
    assert!(text.contains("Action: delayed\r\n"));
    assert!(text.contains("Will-Retry-Until: Fri, 6 Mar 2026 10:00:00 +0000\r\n"));
    assert!(text.contains("Diagnostic-Code: x-postern; no connection\r\n"));
}

#[test]
fn several_recipients_share_one_report() {
    let recipients = [recipient("bo@far.example", "2.0.0", None), recipient("cy@far.example", "2.0.0", None)];
    let text = report(Action::Delivered, &recipients);
    assert!(text.contains("Subject: Delivered: 2 recipients\r\n"));
    assert_eq!(text.matches("Action: delivered\r\n").count(), 2);
}

#[test]
fn an_address_outside_ascii_makes_the_status_global() {
    let text = report(Action::Failed, &[recipient("bö@far.example", "5.6.7", None)]);
    assert!(text.contains("Content-Type: message/global-delivery-status\r\n"));
    assert!(text.contains("Final-Recipient: utf-8; bö@far.example\r\n"));
}

#[test]
fn no_reply_can_add_a_field_or_a_long_line() {
    let hostile = format!("550 x\r\nAction: delivered\r\u{b}\n\n{}", "é".repeat(3000));
    let text =
        report(Action::Failed, &[recipient("bo@far.example", "5.0.0", Some(Diagnostic::Smtp(hostile)))]);
    assert_eq!(text.matches("\r\nAction:").count(), 1);
    assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
}
