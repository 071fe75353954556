//! A join code of any text: what parses prints itself as it was meant.
#![no_main]

use postern_shared::join_code::JoinCode;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(code) = text.parse::<JoinCode>() {
        let printed = code.to_string();
        assert_eq!(printed.parse::<JoinCode>().map(|again| again.to_string()), Ok(printed));
    }
});
