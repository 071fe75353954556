//! Two connected tunnel ends, and an attacker who sends, replays and changes datagrams.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| postern_shared::tunnel::fuzz::fuzz_core(script));
