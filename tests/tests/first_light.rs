//! The main job, as the demo shows it, asserted.

use anyhow::Result;
use postern_lab::lab::ANA;
use postern_lab::{Host, Lab, demo};

#[test]
fn a_strangers_mail_reaches_home_and_homes_answer_reaches_the_stranger() -> Result<()> {
    let lab = Lab::running()?;
    let story = || -> Result<()> {
        demo::enrol(&lab)?;
        let (sent, _) = demo::receive(&lab)?;
        demo::read(&lab, &sent)?;
        demo::answer(&lab)?;
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

#[test]
fn both_address_families_reach_home_with_the_true_client_address() -> Result<()> {
    let lab = Lab::joined()?;
    for family in ["-4", "-6"] {
        let subject = format!("over{family}");
        let header = format!("Subject: {subject}");
        let swaks = ["swaks", family, "--server", "mail.home.example", "--from", "x@cafe.test", "--to", ANA];
        lab.host(Host::Cafe).run(swaks.iter().copied().chain(["--tls", "--header", &header]))?.success()?;
        let message = lab.await_ana_message(&subject)?;
        let trace = postern_lab::mail::header_values(&message, "Received").remove(0);
        let client = match family {
            "-4" => Host::Cafe.v4().to_string(),
            _ => Host::Cafe.v6().expect("the cafe has IPv6").to_string(),
        };
        assert!(trace.contains(&client), "{client} is not in {trace}");
    }
    Ok(())
}
