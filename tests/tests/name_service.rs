//! The edge's name server, asked by `dig` from the world.

use anyhow::Result;
use postern_lab::{Host, Lab};

#[test]
fn the_edge_answers_for_its_zone_and_for_nothing_else() -> Result<()> {
    let lab = Lab::joined()?;
    let ask = |question: &[&str]| -> Result<String> {
        let dig = [&["dig", "+norecurse", "+time=3", "+tries=1", "@192.0.2.10"], question].concat();
        Ok(lab.host(Host::Cafe).run(dig)?.stdout)
    };
    for transport in ["+notcp", "+tcp"] {
        let answer = ask(&["home.example", "SOA", transport])?;
        assert!(answer.contains("status: NOERROR") && answer.contains("flags: qr aa;"), "{answer}");
    }
    let over_v6 =
        lab.host(Host::Cafe).run(["dig", "+norecurse", "@2001:db8:ed::10", "home.example", "MX"])?.stdout;
    assert!(over_v6.contains("10 mail.home.example."), "{over_v6}");

    let missing = ask(&["nobody.home.example", "A"])?;
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("SOA"), "{missing}");
    let empty = ask(&["mail.home.example", "SRV"])?;
    assert!(
        empty.contains("status: NOERROR") && empty.contains("ANSWER: 0") && empty.contains("SOA"),
        "{empty}"
    );
    let mixed_case = ask(&["HoMe.ExAmPlE", "MX"])?;
    assert!(mixed_case.contains("ANSWER: 1"), "{mixed_case}");

    for question in [["stranger.test", "A"], [".", "NS"], ["example", "SOA"]] {
        let refused = ask(&[&question[..], &["+recurse"]].concat())?;
        assert!(refused.contains("status: REFUSED"), "{question:?}: {refused}");
        assert!(!refused.contains(" ra"), "recursion is offered: {refused}");
    }
    let transfer = ask(&["home.example", "AXFR"])?;
    assert!(transfer.contains("Transfer failed") && !transfer.contains("IN\tMX"), "{transfer}");
    Ok(())
}

#[test]
fn the_zone_has_every_record_that_mail_needs() -> Result<()> {
    let lab = Lab::joined()?;
    let one = |name: &str, kind: &str| lab.resolve(name, kind).map(|lines| lines.join("\n"));
    assert_eq!(one("home.example", "MX")?, "10 mail.home.example.");
    assert_eq!(one("mail.home.example", "A")?, "192.0.2.10");
    assert_eq!(one("mail.home.example", "AAAA")?, "2001:db8:ed::10");
    let mut servers = lab.resolve("home.example", "NS")?;
    servers.sort();
    assert_eq!(servers, ["ns1.home.example.", "ns2.home.example."]);
    assert_eq!(one("ns1.home.example", "A")?, "192.0.2.10");
    assert!(one("home.example", "TXT")?.contains("v=spf1 "));
    assert!(one("_dmarc.home.example", "TXT")?.contains("v=DMARC1"));
    Ok(())
}
