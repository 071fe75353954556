//! Whole exchanges, among them the published example of RFC 7677 §3.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_sasl::{Exchange, Failure, Mechanism, Question, ScramCredentials, Step, Verdict};
use proptest::prelude::*;

const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

fn pencil() -> ScramCredentials {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("salt of RFC 7677");
    ScramCredentials::derive("pencil", &salt, 4096)
}

fn until_server_first(credentials: ScramCredentials) -> Exchange {
    let mut exchange = Exchange::new(Mechanism::ScramSha256);
    let asked = exchange.respond(CLIENT_FIRST).expect("client-first");
    assert_eq!(asked, Step::Question(Question::ScramKeys { login: "user".into() }));
    exchange.scram_credentials(credentials, SERVER_NONCE).expect("server-first");
    exchange
}

#[test]
fn the_example_of_rfc_7677() {
    let mut exchange = Exchange::new(Mechanism::ScramSha256);
    assert_eq!(exchange.begin(), Step::Challenge(Vec::new()));
    exchange.respond(CLIENT_FIRST).expect("client-first");
    let server_first = exchange.scram_credentials(pencil(), SERVER_NONCE).expect("server-first");
    let expected = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    assert_eq!(server_first, Step::Challenge(expected.into()));
    let server_final = exchange.respond(CLIENT_FINAL.as_bytes()).expect("client-final");
    let expected = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    assert_eq!(server_final, Step::Challenge(expected.into()));
    assert_eq!(exchange.respond(b""), Ok(Step::Success { login: "user".into() }));
}

#[test]
fn a_decoy_accepts_nobody() {
    let decoy = ScramCredentials::decoy(b"secret", "user", 4096);
    let mut exchange = until_server_first(decoy);
    assert_eq!(exchange.respond(CLIENT_FINAL.as_bytes()), Err(Failure::Rejected));
    assert_eq!(exchange.respond(b""), Err(Failure::OutOfOrder));
}

#[test]
fn a_wrong_password_a_wrong_nonce_and_a_wrong_binding_fail() {
    let other = ScramCredentials::derive("pencils", b"salt", 4096);
    assert_eq!(until_server_first(other).respond(CLIENT_FINAL.as_bytes()), Err(Failure::Rejected));
    let nonce = CLIENT_FINAL.replace("k0,", "k1,");
    assert_eq!(until_server_first(pencil()).respond(nonce.as_bytes()), Err(Failure::Rejected));
    let binding = CLIENT_FINAL.replace("c=biws", "c=eSws");
    assert_eq!(until_server_first(pencil()).respond(binding.as_bytes()), Err(Failure::ChannelBinding));
}

#[test]
fn binding_that_was_not_offered_and_foreign_identities_are_refused() {
    let cases: [(&[u8], Failure); 5] = [
        (b"p=tls-exporter,,n=user,r=abc", Failure::ChannelBinding),
        (b"n,a=root,n=user,r=abc", Failure::AuthorizationIdentity),
        (b"n,,m=ext,n=user,r=abc", Failure::Malformed),
        (b"n,,n=user,r=", Failure::Malformed),
        (b"x,,n=user,r=abc", Failure::Malformed),
    ];
    for (message, failure) in cases {
        assert_eq!(Exchange::new(Mechanism::ScramSha256).respond(message), Err(failure));
    }
    let own = Exchange::new(Mechanism::ScramSha256).respond(b"y,a=user,n=user,r=abc");
    assert!(matches!(own, Ok(Step::Question(Question::ScramKeys { .. }))));
}

#[test]
fn plain_asks_and_obeys_the_verdict() {
    for (verdict, outcome) in [
        (Verdict::Accepted, Ok(Step::Success { login: "tim".into() })),
        (Verdict::Rejected, Err(Failure::Rejected)),
    ] {
        let mut exchange = Exchange::new(Mechanism::Plain);
        let Ok(Step::Question(Question::Password { login, password })) = exchange.respond(b"\0tim\0tanstaaf")
        else {
            panic!("no question");
        };
        assert_eq!((login.as_str(), password.expose()), ("tim", "tanstaaf"));
        assert_eq!(exchange.password_verdict(verdict), outcome);
    }
}

#[test]
fn nothing_succeeds_out_of_order() {
    let mut exchange = Exchange::new(Mechanism::Plain);
    assert_eq!(exchange.password_verdict(Verdict::Accepted), Err(Failure::OutOfOrder));
    assert_eq!(exchange.respond(b"\0tim\0tanstaaf"), Err(Failure::OutOfOrder));
    let mut exchange = Exchange::new(Mechanism::ScramSha256);
    assert_eq!(exchange.scram_credentials(pencil(), "x"), Err(Failure::OutOfOrder));
}

proptest! {
    #[test]
    fn no_input_panics_or_succeeds(responses in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5)) {
        for mechanism in Mechanism::ALL {
            let mut exchange = Exchange::new(mechanism);
            for response in &responses {
                if let Ok(Step::Question(Question::ScramKeys { login })) = exchange.respond(response) {
                    exchange.scram_credentials(ScramCredentials::decoy(b"s", &login, 4096), "nonce").expect("asked");
                }
                let step = exchange.respond(response);
                let succeeded = matches!(step, Ok(Step::Success { .. }));
                prop_assert!(!succeeded);
            }
        }
    }
}
