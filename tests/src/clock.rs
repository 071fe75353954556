//! Clocks that stand elsewhere: programs started in the place of a host's daemon, with another time of day. What they do
//! not share with the rest of the lab is the time of day only; timers run as they do elsewhere.

use anyhow::Result;

use crate::lab::Lab;
use crate::topology::Host;

/// Ends what [`Lab::start_at`] has started.
const END: &str = "if [ -e /run/elsewhen.pid ]; then
    pid=$(cat /run/elsewhen.pid); rm /run/elsewhen.pid
    kill $pid; while [ -e /proc/$pid ]; do sleep 0.05; done
    fi";

impl Lab {
    /// Starts a program on a host whose clock stands at `time` (faketime(1)), in the place of one started so before.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn start_at(&self, host: Host, time: &str, command: &str) -> Result<()> {
        self.host(host).sh(&format!(
            "{END}
             export FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME='{time}'
             LD_PRELOAD='/usr/$LIB/faketime/libfaketimeMT.so.1' {command} >>/run/elsewhen.log 2>&1 &
             echo $! > /run/elsewhen.pid"
        ))?;
        Ok(())
    }

    /// Ends the program that [`Lab::start_at`] has started on a host, if there is one.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn end_elsewhen(&self, host: Host) -> Result<()> {
        self.host(host).sh(END)?;
        Ok(())
    }
}
