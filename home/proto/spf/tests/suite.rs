//! The test suite of RFC 7208 (openspf.org, release 2014.04; by Stuart D. Gathman, Julian Mehnle and others).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use postern_spf::{Dns, NoAnswer, Outcome, Query, Records, check};
use serde::Deserialize;
use serde_json::Value;

/// One of the suite's documents.
#[derive(Deserialize)]
struct Scenario {
    description: String,
    zone: Zone,
    tests: Vec<Case>,
}

/// Names in lower case without final dots, each with its records: type and data.
#[derive(Deserialize)]
struct Zone(HashMap<String, Vec<(String, Value)>>);

#[derive(Deserialize)]
struct Case {
    name: String,
    helo: String,
    host: String,
    mailfrom: String,
    /// Any of these is right.
    results: Vec<String>,
    explanation: Option<String>,
}

#[tokio::test]
async fn every_case_of_the_suite() {
    let scenarios: Vec<Scenario> =
        serde_json::from_str(include_str!("vectors/spf.json")).expect("the suite is JSON");
    let (mut passed, mut wrong) = (0, Vec::new());
    for Scenario { description, zone, tests } in scenarios {
        for case in tests {
            let query = Query {
                address: case.host.parse().expect("an address"),
                helo: &case.helo,
                sender: &case.mailfrom,
                receiver: "receiver.example",
                now: 1,
            };
            let verdict = check(&zone, query).await;
            let explained = verdict.explanation.as_deref().unwrap_or("DEFAULT");
            let is_explained = case.explanation.as_deref().is_none_or(|wanted| wanted == explained);
            if case.results.iter().any(|wanted| wanted == word(verdict.outcome)) && is_explained {
                passed += 1;
            } else {
                let wanted = (&case.results, &case.explanation);
                wrong.push(format!("{description}, {}: {verdict:?}, not {wanted:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{passed} are right; wrong are\n{}", wrong.join("\n"));
    assert_eq!(passed, 203);
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::None => "none",
        Outcome::Neutral => "neutral",
        Outcome::Pass => "pass",
        Outcome::Fail => "fail",
        Outcome::SoftFail => "softfail",
        Outcome::TempError => "temperror",
        Outcome::PermError => "permerror",
    }
}

impl Zone {
    fn records<T>(&self, name: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Records<T> {
        let mut name = name.to_lowercase();
        for _ in 0..8 {
            let Some(records) = self.0.get(&name) else { return Ok(Vec::new()) };
            // What stands beside a time-out is answered, and nothing else.
            let is_there = records.iter().any(|(found, _)| found == kind);
            if !is_there && records.iter().any(|(found, _)| found == "TIMEOUT") {
                return Err(NoAnswer);
            }
            match records.iter().find(|(kind, _)| kind == "CNAME") {
                Some((_, target)) => name = target.as_str().expect("a name").to_lowercase(),
                None => {
                    let found = records.iter().filter(|(found, _)| found == kind);
                    return Ok(found.filter_map(|(_, data)| read(data)).collect());
                }
            }
        }
        Err(NoAnswer)
    }
}

impl Dns for Zone {
    async fn txt(&self, name: &str) -> Records<Vec<u8>> {
        self.records(name, "TXT", |data| {
            let strings = data.as_array()?.iter().filter_map(Value::as_str);
            Some(strings.collect::<String>().into_bytes())
        })
    }

    async fn ipv4(&self, name: &str) -> Records<Ipv4Addr> {
        self.records(name, "A", |data| data.as_str()?.parse().ok())
    }

    async fn ipv6(&self, name: &str) -> Records<Ipv6Addr> {
        self.records(name, "AAAA", |data| data.as_str()?.parse().ok())
    }

    async fn mx(&self, name: &str) -> Records<String> {
        self.records(name, "MX", |data| data[1].as_str().map(str::to_owned))
    }

    async fn ptr(&self, address: IpAddr) -> Records<String> {
        let name = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
                let nibbles: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
                format!("{}.ip6.arpa", nibbles.join("."))
            }
        };
        self.records(&name, "PTR", |data| data.as_str().map(str::to_owned))
    }
}
