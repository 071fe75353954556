//! The ARC test suite (github.com/ValiMail/arc_test_suite, its validation half). mail-auth's own validation is wrong in 13 of
//! its cases: it takes sha1, seals that are malformed, and chains whose message signatures are gone.

use std::collections::HashMap;

use postern_arc::{Dns, NoAnswer, Status, check};
use serde::Deserialize;

/// One of the suite's documents.
#[derive(Deserialize)]
struct Scenario {
    description: String,
    keys: Keys,
    tests: Vec<Case>,
}

/// The names of keys with their records.
#[derive(Deserialize)]
struct Keys(HashMap<String, String>);

#[derive(Deserialize)]
struct Case {
    name: String,
    message: String,
    /// Empty where a sealer says itself that the chain is broken: the suite asks for no more than that it does not pass.
    validation: String,
}

/// A message signature that says nothing of canonicalization, signed as relaxed: so an early draft had it. RFC 8617 §4.1.2
/// takes the meaning of the tag from DKIM, where what is not said is simple (RFC 6376 §3.5).
const OF_AN_EARLIER_DRAFT: &str = "ams_fields_c_na";

#[tokio::test]
async fn every_case_of_the_suite() {
    let scenarios: Vec<Scenario> =
        serde_json::from_str(include_str!("vectors/arc.json")).expect("the suite is JSON");
    let (mut passed, mut wrong) = (0, Vec::new());
    for Scenario { description, keys, tests } in scenarios {
        for case in tests {
            let status = check(&keys, case.message.as_bytes(), 1_500_000_000).await.status;
            let wanted = match case.validation.as_str() {
                "" => "fail",
                "pass" if case.name == OF_AN_EARLIER_DRAFT => "fail",
                wanted => wanted,
            };
            if word(&status) == wanted {
                passed += 1;
            } else {
                wrong.push(format!("{description}, {}: {status:?}, not {wanted}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{passed} are right; wrong are\n{}", wrong.join("\n"));
    assert_eq!(passed, 171);
}

fn word(status: &Status) -> &'static str {
    match status {
        Status::None => "none",
        Status::Pass => "pass",
        Status::Fail(_) => "fail",
    }
}

impl Dns for Keys {
    async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, NoAnswer> {
        Ok(self.0.get(name).map(|record| vec![record.clone().into_bytes()]).unwrap_or_default())
    }
}
