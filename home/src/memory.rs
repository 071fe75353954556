//! What the process asks of its allocator: memory that is freed goes back to the system.

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
