//! SASL responses of any octets, one a line: nothing proves a user who has no password.
#![no_main]

use postern_sasl::{Exchange, Mechanism, Question, ScramCredentials, Step, Verdict};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    for mechanism in Mechanism::ALL {
        let mut exchange = Exchange::new(mechanism);
        for response in octets.split(|octet| *octet == b'\n') {
            let step = match exchange.respond(response) {
                Ok(Step::Question(Question::Password { .. })) => exchange.password_verdict(Verdict::Rejected),
                Ok(Step::Question(Question::ScramKeys { login })) => {
                    exchange.scram_credentials(ScramCredentials::decoy(b"secret", &login, 4096), "nonce")
                }
                other => other,
            };
            assert!(!matches!(step, Ok(Step::Success { .. })));
        }
    }
});
