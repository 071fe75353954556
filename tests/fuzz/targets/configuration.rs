//! A configuration file of any text: a configuration, or one paragraph.
#![no_main]

use std::path::Path;

use postern_edge::config::Config;
use postern_shared::config::Source;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = Config::from_source(&Source::from_text(Path::new("edge.toml"), text)) {
        assert!(error.to_string().starts_with("edge.toml, line "));
    }
});
