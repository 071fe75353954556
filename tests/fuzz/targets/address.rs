//! A mail address of any text: what parses prints itself as it was meant.
#![no_main]

use postern_message::address::EmailAddress;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<EmailAddress>() {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
});
