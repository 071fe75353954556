//! The ways into an edge: without a code for the home that it waits for, and again for a home whose edge is gone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::topology::{EDGE_OTHER_V4, EDGE_OTHER_V6};
use postern_lab::{Host, Lab, Signal, mail, wait_until};

/// Enough for what resolvers remember, and for a zone to reach its new server.
const PUBLICATION: Duration = Duration::from_secs(30);

/// A lab whose edge was made, as Terraform would, with the identity of the home that it is to wait for.
fn waiting() -> Result<Lab> {
    let lab = Lab::running()?;
    let identity = lab.host(Host::Home).run(["postern-home", "identity"])?.success()?.stdout;
    ensure!(identity.trim().len() == 44 && identity.lines().count() == 1, "{identity:?}");
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Terminate)?;
    lab.host(Host::Edge).sh(&format!(
        "rm -rf /var/lib/postern-edge
         printf '[enrolment]\\nhome = \"{}\"\\n' >> /etc/postern/edge.toml",
        identity.trim()
    ))?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    Ok(lab)
}

#[test]
fn the_home_that_an_edge_waits_for_joins_without_a_code_once() -> Result<()> {
    let lab = waiting()?;
    let home = lab.host(Host::Home);
    let status = lab.json(Host::Edge, &["postern-edge", "status"])?;
    ensure!(status["warnings"].to_string().contains("postern-home join --edge"), "{status}");
    let key = status["enrolment"]["awaits"]["edge_key"].as_str().context("a key")?.to_owned();
    let edge = Host::Edge.v4().to_string();

    // Whoever answers with another key than the edge's, as somebody on the way would, is refused.
    let other = "p1mYFPZkAzDx5BZiXgQ8nT2ckTWZ1CV+vR0J9lGvFXk=";
    let refused = home.run(["postern-home", "join", "--edge", &edge, "--edge-key", other])?;
    assert_eq!(refused.code(), 1, "{}", refused.stdout);
    assert!(refused.stderr.contains(&format!("has the key {key}, not {other}")), "{}", refused.stderr);

    let joined = home.run(["postern-home", "join", "--edge", &edge, "--edge-key", &key])?.success()?;
    assert!(joined.stdout.contains("The edge has the key that you gave."), "{}", joined.stdout);
    // The keys that anybody could have derived are renewed at once; the old epoch may rest for three minutes yet.
    wait_until("epoch 2 is preferred", PUBLICATION, || {
        let keys = lab.keys()?;
        ensure!(keys.accepted_by_edge == [2, 1] && keys.step == "committed", "{keys:?}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))?;
    lab.is_connected()?;
    lab.set_up_home()?;

    let again = home.run(["postern-home", "join", "--edge", &edge])?;
    assert_eq!(again.code(), 1, "{}", again.stdout);
    assert!(again.stderr.contains("waits for nobody"), "{}", again.stderr);
    wait_until("home is connected as before", PUBLICATION, || lab.is_connected())
}

#[test]
fn a_home_of_another_identity_is_not_awaited() -> Result<()> {
    let lab = waiting()?;
    let home = lab.host(Host::Home);
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    home.sh("rm /var/lib/postern-home/identity.key")?;
    lab.start_daemon(Host::Home, "postern-home")?;
    let refused = home.run(["postern-home", "join", "--edge", &Host::Edge.v4().to_string()])?;
    assert_eq!(refused.code(), 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("must be what `postern-home identity` prints"), "{}", refused.stderr);
    // The way in that is always open.
    lab.join()
}

#[test]
fn a_fresh_edge_at_another_address_takes_the_place_of_one_that_is_gone() -> Result<()> {
    let lab = Lab::joined()?;
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "by the first edge"))?;
    lab.await_ana_message("by the first edge")?;
    assert_eq!(lab.mbsync_messages("by the first edge")?.len(), 1);
    let forward = lab.json(Host::Edge, &["postern-edge", "status"])?["forward"].clone();

    lab.replace_edge()?;
    // One command at home.
    lab.join().map_err(|error| lab.explain(error))?;

    wait_until("the world finds the new address", PUBLICATION, || {
        for (record_type, address) in [("A", EDGE_OTHER_V4.to_string()), ("AAAA", EDGE_OTHER_V6.to_string())]
        {
            let found = lab.resolve("mail.home.example", record_type)?;
            ensure!(found == [address], "{found:?}");
        }
        Ok(())
    })
    .map_err(|error| lab.explain(error))?;
    let status = lab.json(Host::Edge, &["postern-edge", "status"])?;
    assert_eq!(status["forward"], forward, "what is forwarded came from home");
    assert_eq!(status["zones"][0]["origin"], "home.example.", "{status}");

    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "by the second edge"))?;
    lab.await_ana_message("by the second edge")?;
    // An old client, with the state of its last synchronisation.
    assert_eq!(lab.mbsync_messages("by the second edge")?.len(), 1);
    assert_eq!(lab.mbsync_messages("by the first edge")?.len(), 1, "nothing is fetched twice");
    let answer = mail::plain_message(ANA, mail::SAM, "from the new address");
    lab.submit(465, ANA, mail::SAM, &answer)?.success()?;
    let verdict = lab.authenticate(&lab.await_stranger_message("from the new address")?)?;
    assert_eq!(verdict.ip, EDGE_OTHER_V4.to_string());
    verdict.require_pass()
}
