//! Nothing is trusted for its address: without authentication no host may send through home.

use anyhow::Result;
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{Host, Lab, mail};

/// swaks's exit status when MAIL is refused.
const MAIL_REFUSED: i32 = 23;
/// swaks's exit status when every RCPT is refused.
const RCPT_REFUSED: i32 = 24;
/// swaks's exit status when AUTH fails.
const AUTH_REFUSED: i32 = 28;

#[test]
fn no_relay_from_outside_tunnel_home_network_or_loopback() -> Result<()> {
    let lab = Lab::joined()?;
    let positions = [
        (Host::Cafe, "mail.home.example"),
        (Host::Edge, "10.118.0.2"),
        (Host::Isp, "192.168.1.20"),
        (Host::Home, "192.168.1.20"),
        (Host::Home, "127.0.0.1"),
        (Host::Home, "10.118.0.2"),
    ];
    for (host, server) in positions {
        for sender in ["x@cafe.test", ANA, ""] {
            let swaks =
                ["swaks", "--server", server, "--from", sender, "--to", mail::SAM, "--quit-after", "RCPT"];
            let output = lab.host(host).run(swaks)?;
            assert_eq!(output.code(), RCPT_REFUSED, "{host} to {server} as <{sender}>: {}", output.stdout);
            assert!(output.stdout.contains("<** 550 5.7.1"), "{}", output.stdout);
        }
    }
    Ok(())
}

#[test]
fn no_relay_by_any_address_form() -> Result<()> {
    let lab = Lab::joined()?;
    let forms = [
        "sam%stranger.test@home.example",
        "sam%stranger.test",
        "stranger.test!sam",
        "stranger.test!sam@home.example",
        "\"sam@stranger.test\"",
        "\"sam@stranger.test\"@home.example",
        "\"sam%stranger.test\"",
        "@home.example:sam@stranger.test",
        "sam@stranger.test@home.example",
        "sam@[198.51.100.25]",
        "sam@198.51.100.25",
        "sam@[10.118.0.2]",
        "ana@home.example@stranger.test",
        "SRS0=aaaaaaaa=aa=stranger.test=sam@home.example",
        "SRS1=aaaaaaaa=stranger.test==aaaaaaaa=aa=stranger.test=sam@home.example",
        "sam",
    ];
    for form in forms {
        let script = "import smtplib, sys\n\
             s = smtplib.SMTP('mail.home.example', 25, timeout=20)\n\
             s.ehlo(); s.docmd('MAIL', 'FROM:<x@cafe.test>')\n\
             print(s.docmd('RCPT', 'TO:<' + sys.argv[1] + '>')[0])";
        let output = lab.host(Host::Cafe).run(["python3", "-c", script, form])?.success()?;
        assert!(output.stdout.starts_with('5'), "RCPT TO:<{form}> got {}", output.stdout);
    }
    Ok(())
}

#[test]
fn submission_takes_only_the_users_own_sender_after_the_right_password() -> Result<()> {
    let lab = Lab::joined()?;
    let cafe = lab.host(Host::Cafe);
    for (port, tls) in [("465", "--tls-on-connect"), ("587", "--tls")] {
        let server =
            ["swaks", "--server", "mail.home.example", "--port", port, tls, "--to", mail::SAM, "--from", ANA];
        let anonymous = cafe.run([&server[..], &["--quit-after", "RCPT"]].concat())?;
        assert_eq!(anonymous.code(), MAIL_REFUSED, "{}", anonymous.stdout);
        let login = ["--auth", "PLAIN", "--auth-user", ANA, "--auth-password"];
        let wrong = cafe.run([&server[..], &login, &["wrong", "--quit-after", "AUTH"]].concat())?;
        assert_eq!(wrong.code(), AUTH_REFUSED, "{}", wrong.stdout);
        assert!(wrong.stdout.contains("535 5.7.8"), "{}", wrong.stdout);
        let right =
            cafe.run([&server[..], &login, &[ANA_PASSWORD, "--quit-after", "RCPT"]].concat())?.success()?;
        assert!(right.stdout.contains("235 2.7.0"), "{}", right.stdout);
    }
    let clear =
        ["swaks", "--server", "mail.home.example", "--port", "587", "--to", mail::SAM, "--auth", "PLAIN"];
    let login = ["--auth-user", ANA, "--auth-password", ANA_PASSWORD, "--quit-after", "AUTH"];
    let refused = cafe.run([&clear[..], &login].concat())?;
    assert_ne!(refused.code(), 0, "a password is taken in clear text: {}", refused.stdout);

    let message = mail::plain_message("boss@home.example", mail::SAM, "as another");
    let other_envelope = lab.submit(465, "boss@home.example", mail::SAM, &message)?;
    assert_ne!(other_envelope.code(), 0, "{}", other_envelope.stdout);
    let other_header = lab.submit(465, ANA, mail::SAM, &message)?;
    assert_ne!(other_header.code(), 0, "a From that is not ana's is sent: {}", other_header.stdout);
    Ok(())
}
