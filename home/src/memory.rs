//! What becomes of the process's memory: what is freed goes back to the system, and nothing of it into a core dump, which
//! would hold mail and the data key.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// From this many octets on a piece of memory is a mapping of its own.
const MAPPED_APART: libc::c_int = 256 * 1024;

/// Holds glibc's malloc to its documented threshold. By itself it raises the threshold to the largest piece ever freed: after
/// the first password check, which takes 19 MiB, each thread that checks one would keep as much for good. Other C libraries
/// do it right by themselves.
pub fn give_back_what_is_freed() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt may be called at any time, and changes where memory comes from and nothing else.
        let is_set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_APART) };
        if is_set == 0 {
            tracing::warn!("the allocator keeps what is freed; password checks leave more memory in use");
        }
    }
}

/// Keeps memory out of core dumps, and from debuggers of other users. The children that are made later inherit both. The
/// kernel writes to a program that collects dumps whatever the limit says; that the process is not dumpable stops this too.
pub fn keep_out_of_core_dumps() {
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let not_dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(not_dumpable) {
        tracing::warn!(%error, "a core dump of this process would hold what is in its memory");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn nothing_goes_into_a_core_dump() {
        keep_out_of_core_dumps();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
