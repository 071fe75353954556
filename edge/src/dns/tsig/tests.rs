use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;

fn key() -> Key {
    Key::new(b"\x02K1\x03ns3\x07example\0", &[7; 32])
}

/// A question for `example. SOA`, identifier 0x1234.
fn question() -> Vec<u8> {
    [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\0\0\x06\0\x01"].concat()
}

fn signed(octets: &[u8]) -> Signed {
    match read(octets) {
        Read::Signed(signed) => signed,
        other => panic!("{other:?}"),
    }
}

fn request() -> (Vec<u8>, Conversation) {
    let mut message = question();
    let conversation = Conversation::begin(&key(), &mut message, NOW);
    (message, conversation)
}

fn answer() -> Vec<u8> {
    let mut answer = question();
    answer[2] = 0x84;
    answer
}

#[test]
fn a_request_and_its_answer_believe_each_other() {
    let (message, asker) = request();
    let heard = signed(&message);
    assert_eq!((&heard.message, heard.key_name()), (&question(), &b"\x02k1\x03ns3\x07example\0"[..]));
    let mut server = heard.verify(Some(&key()), NOW + 300).unwrap();
    let mut answer = answer();
    let room = server.record_length();
    server.sign(&mut answer, NOW + 1);
    assert!(answer.len() <= question().len() + room);
    assert!(asker.is_answered_by(&signed(&answer), NOW + 2));
    assert!(!asker.is_answered_by(&signed(&answer), NOW + 400));
    let (_, other) = request();
    assert!(other.is_answered_by(&signed(&answer), NOW), "the same request has the same MAC");
    let mut unasked = self::answer();
    Conversation::begin(&key(), &mut unasked, NOW);
    assert!(!asker.is_answered_by(&signed(&unasked), NOW), "the answer must cover the request");
}

/// RFC 8945 §5.3.1, computed by hand.
#[test]
fn later_messages_of_a_stream_cover_the_one_before_and_the_timers() {
    let (message, _) = request();
    let mut server = signed(&message).verify(Some(&key()), NOW).unwrap();
    let (mut first, mut second) = (answer(), answer());
    server.sign(&mut first, NOW);
    server.sign(&mut second, NOW + 5);
    let (first, second) = (signed(&first), signed(&second));
    let mut context = hmac::Context::with_key(&key().hmac);
    context.update(&[0, 32]);
    context.update(&first.record.mac);
    context.update(&answer());
    context.update(&(NOW + 5).to_be_bytes()[2..]);
    context.update(&[0x01, 0x2c]);
    assert_eq!(context.sign().as_ref(), second.record.mac);
}

#[test]
fn what_is_not_believed_is_refused_as_it_deserves() {
    let (message, _) = request();
    let heard = signed(&message);
    let unproven = |error| Err(Fault::Unproven(error));
    assert_eq!(heard.verify(None, NOW), unproven(TsigError::BadKey));
    let other = Key::new(b"\x02k1\x03ns3\x07example\0", &[8; 32]);
    assert_eq!(heard.verify(Some(&other), NOW), unproven(TsigError::BadSig));
    for late in [NOW + 301, NOW - 301] {
        let Err(Fault::Proven(TsigError::BadTime, mut conversation)) = heard.verify(Some(&key()), late)
        else {
            panic!("not BADTIME at {late}");
        };
        let mut refusal = answer();
        conversation.sign_refusal(TsigError::BadTime, &mut refusal, late);
        let refusal = signed(&refusal);
        assert_eq!((refusal.record.time, refusal.record.error), (NOW, 18));
        assert_eq!(refusal.record.other, late.to_be_bytes()[2..]);
        assert!(refusal.has_mac(&key(), Some(&heard.record.mac)), "the asker can believe it");
    }
    let mut md5 = heard.clone();
    md5.record.algorithm = b"\x08hmac-md5\x07sig-alg\x03reg\x03int\0".as_slice().into();
    assert_eq!(md5.verify(Some(&key()), NOW), unproven(TsigError::BadKey));
}

#[test]
fn a_request_counts_no_longer_than_our_own_fudge_whatever_it_asks_for() {
    let mut heard = signed(&request().0);
    heard.record.fudge = u16::MAX;
    heard.record.mac = mac(&key(), None, &heard.message, &heard.record.variables()).as_ref().to_vec();
    assert!(heard.verify(Some(&key()), NOW + 300).is_ok());
    let late = heard.verify(Some(&key()), NOW + 301);
    assert!(matches!(late, Err(Fault::Proven(TsigError::BadTime, _))), "{late:?}");
}

#[test]
fn a_shortened_mac_is_not_enough() {
    let (message, _) = request();
    let short = |octets: usize| {
        let mut heard = signed(&message);
        heard.record.mac.truncate(octets);
        heard.verify(Some(&key()), NOW)
    };
    assert!(short(32).is_ok());
    for octets in [31, 16] {
        assert!(matches!(short(octets), Err(Fault::Proven(TsigError::BadTrunc, _))), "{octets}");
    }
    for octets in [15, 0] {
        assert_eq!(short(octets), Err(Fault::Malformed), "{octets}");
    }
    let mut long = signed(&message);
    long.record.mac.push(0);
    assert_eq!(long.verify(Some(&key()), NOW), Err(Fault::Malformed));
}

#[test]
fn a_record_in_the_wrong_place_is_malformed() {
    let (message, _) = request();
    let mut twice = message.clone();
    let record = message[question().len()..].to_vec();
    twice.extend_from_slice(&record);
    twice[11] = 2;
    assert_eq!(read(&twice), Read::Malformed);
    let mut among_answers = message.clone();
    (among_answers[7], among_answers[11]) = (1, 0);
    assert_eq!(read(&among_answers), Read::Malformed);
    let mut before_opt = message.clone();
    before_opt.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    before_opt[11] = 2;
    assert_eq!(read(&before_opt), Read::Malformed);
    assert_eq!(read(&question()), Read::Unsigned);
    assert_eq!(read(&message[..message.len() - 1]), Read::Unsigned);
}

/// A forwarder may have changed the identifier (RFC 8945 §4.3.2).
#[test]
fn the_original_identifier_is_the_one_that_counts() {
    let (mut message, _) = request();
    message[0] = 0x99;
    assert!(signed(&message).verify(Some(&key()), NOW).is_ok());
}

proptest! {
    #[test]
    fn a_changed_bit_is_noticed(bit in 16_usize..8 * 112) {
        let (mut message, _) = request();
        prop_assume!(bit < message.len() * 8);
        message[bit / 8] ^= 1 << (bit % 8);
        if let Read::Signed(heard) = read(&message) {
            // Names compare without regard to case.
            let is_case = heard.record.key == key().name && message.eq_ignore_ascii_case(&request().0);
            prop_assert!(is_case || heard.verify(Some(&key()), NOW).is_err());
        }
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (mut message, _) = request();
        message.truncate(question().len() + 30);
        message.extend(octets);
        if let Read::Signed(heard) = read(&message) {
            prop_assert!(heard.verify(Some(&key()), NOW).is_err());
        }
    }
}
