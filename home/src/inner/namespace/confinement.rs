//! What the broker gives up once it is in its namespace: everything but making devices, sockets, addresses and routes.
//!
//! | given up | by |
//! |---|---|
//! | home's open files, the state directory's lock among them | closed by [`super::fork`] |
//! | capabilities in its own user namespace, but for two | `capset(2)`; in the machine's it never had any |
//! | other processes, files that grow, core dumps | `setrlimit(2)` |
//! | set-user-ID programs, and being traced | `PR_SET_NO_NEW_PRIVS`, `PR_SET_DUMPABLE` |

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

/// Gives it all up, for good.
pub fn confine() -> io::Result<()> {
    let kept = CapabilitySet::NET_ADMIN | CapabilitySet::NET_BIND_SERVICE;
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for resource in [Resource::Nproc, Resource::Fsize, Resource::Core] {
        setrlimit(resource, Rlimit { current: Some(0), maximum: Some(0) })?;
    }
    Ok(())
}
