//! Waiting for something to become true, instead of sleeping and hoping.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long to pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What a look at the world has found.
pub trait Finding {
    /// What is handed on once it is there.
    type Value;
    /// `Ok` once it is there; otherwise what stands in its place.
    fn settle(self) -> Result<Self::Value>;
}

impl Finding for bool {
    type Value = ();
    fn settle(self) -> Result<()> {
        if self { Ok(()) } else { bail!("not yet") }
    }
}

impl<T> Finding for Result<T> {
    type Value = T;
    fn settle(self) -> Result<T> {
        self
    }
}

/// Looks again and again until `look` finds what is wanted, and returns it.
///
/// # Errors
/// When `limit` has passed; the error names `what` and gives the last look's own.
pub fn wait_until<F: Finding>(what: &str, limit: Duration, mut look: impl FnMut() -> F) -> Result<F::Value> {
    let start = Instant::now();
    loop {
        match look().settle() {
            Ok(value) => return Ok(value),
            Err(error) if start.elapsed() >= limit => {
                return Err(error).with_context(|| format!("waited {} s until {what}", limit.as_secs()));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
