//! Whole exchanges, among them the published example of RFC 7677 §3.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_sasl::{
    BindingType, ChannelBindings, Exchange, Failure, Mechanism, Question, ScramCredentials, Step, Verdict,
};
use proptest::prelude::*;

const CLIENT_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

fn pencil() -> ScramCredentials {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("salt of RFC 7677");
    ScramCredentials::derive("pencil", &salt, 4096)
}

fn unbound(mechanism: Mechanism) -> Exchange {
    Exchange::new(mechanism, &ChannelBindings::default())
}

fn bindings() -> ChannelBindings {
    ChannelBindings::from_iter([
        (BindingType::TlsExporter, b"exported".to_vec()),
        (BindingType::TlsServerEndPoint, b"the certificate".to_vec()),
    ])
}

fn until_server_first(credentials: ScramCredentials) -> Exchange {
    let mut exchange = unbound(Mechanism::ScramSha256);
    let asked = exchange.respond(CLIENT_FIRST).expect("client-first");
    assert_eq!(asked, Step::Question(Question::ScramKeys { login: "user".into() }));
    exchange.scram_credentials(credentials, SERVER_NONCE).expect("server-first");
    exchange
}

#[test]
fn the_example_of_rfc_7677() {
    let mut exchange = unbound(Mechanism::ScramSha256);
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
        assert_eq!(unbound(Mechanism::ScramSha256).respond(message), Err(failure));
    }
    let own = unbound(Mechanism::ScramSha256).respond(b"y,a=user,n=user,r=abc");
    assert!(matches!(own, Ok(Step::Question(Question::ScramKeys { .. }))));
}

/// What a client that knows the password says last, after this first message.
fn client_final(gs2_header: &str, binding: &[u8], bare: &str) -> String {
    let hmac = |key: &[u8], data: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    let ScramCredentials { salt, iterations, .. } = &pencil();
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(*iterations).expect("some");
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, b"pencil", &mut salted);
    let client_key = hmac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let nonce = format!("rOprNGfwEbeRWgbNEkqO{SERVER_NONCE}");
    let server_first = format!("r={nonce},s={},i={iterations}", BASE64.encode(salt));
    let input = BASE64.encode([gs2_header.as_bytes(), binding].concat());
    let without_proof = format!("c={input},r={nonce}");
    let signature = hmac(stored_key.as_ref(), format!("{bare},{server_first},{without_proof}").as_bytes());
    let proof: Vec<u8> =
        client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, signature)| key ^ signature).collect();
    format!("{without_proof},p={}", BASE64.encode(proof))
}

/// Each type of binding is taken with its own octets, and with no others.
#[test]
fn plus_is_bound_to_this_connection() {
    let bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
    for (name, octets, outcome) in [
        ("tls-exporter", &b"exported"[..], None),
        ("tls-server-end-point", b"the certificate", None),
        ("tls-exporter", b"of another connection", Some(Failure::ChannelBinding)),
        ("tls-exporter", b"the certificate", Some(Failure::ChannelBinding)),
        ("tls-exporter", b"", Some(Failure::ChannelBinding)),
    ] {
        let header = format!("p={name},,");
        let mut exchange = Exchange::new(Mechanism::ScramSha256Plus, &bindings());
        exchange.respond(format!("{header}{bare}").as_bytes()).expect("client-first");
        exchange.scram_credentials(pencil(), SERVER_NONCE).expect("server-first");
        let answer = exchange.respond(client_final(&header, octets, bare).as_bytes());
        assert_eq!(answer.as_ref().err(), outcome.as_ref(), "{name} {octets:?}");
    }
}

/// RFC 5802 §6: where -PLUS was offered, who could bind and saw none has been lied to.
#[test]
fn a_binding_is_not_talked_away() {
    let cases: [(Mechanism, &[u8], Result<(), Failure>); 6] = [
        (Mechanism::ScramSha256, b"y,,n=user,r=abc", Err(Failure::ChannelBinding)),
        (Mechanism::ScramSha256, b"n,,n=user,r=abc", Ok(())),
        (Mechanism::ScramSha256, b"p=tls-exporter,,n=user,r=abc", Err(Failure::ChannelBinding)),
        (Mechanism::ScramSha256Plus, b"n,,n=user,r=abc", Err(Failure::ChannelBinding)),
        (Mechanism::ScramSha256Plus, b"y,,n=user,r=abc", Err(Failure::ChannelBinding)),
        (Mechanism::ScramSha256Plus, b"p=tls-unique,,n=user,r=abc", Err(Failure::ChannelBinding)),
    ];
    for (mechanism, message, outcome) in cases {
        assert_eq!(Exchange::new(mechanism, &bindings()).respond(message).map(drop), outcome, "{mechanism}");
    }
}

#[test]
fn plain_asks_and_obeys_the_verdict() {
    for (verdict, outcome) in [
        (Verdict::Accepted, Ok(Step::Success { login: "tim".into() })),
        (Verdict::Rejected, Err(Failure::Rejected)),
    ] {
        let mut exchange = unbound(Mechanism::Plain);
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
    let mut exchange = unbound(Mechanism::Plain);
    assert_eq!(exchange.password_verdict(Verdict::Accepted), Err(Failure::OutOfOrder));
    assert_eq!(exchange.respond(b"\0tim\0tanstaaf"), Err(Failure::OutOfOrder));
    let mut exchange = unbound(Mechanism::ScramSha256);
    assert_eq!(exchange.scram_credentials(pencil(), "x"), Err(Failure::OutOfOrder));
}

proptest! {
    #[test]
    fn no_input_panics_or_succeeds(responses in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..5)) {
        for mechanism in Mechanism::ALL {
            let mut exchange = unbound(mechanism);
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
