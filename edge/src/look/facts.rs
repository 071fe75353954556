//! How this machine is.
//!
//! In: `/proc`, the file system of the state directory. Out: [`Facts`]; what cannot be read is left out and named with the
//! reason. Nothing is refused. A file system is tried by writing to it: after an error of the disk, `/proc/mounts` may
//! still say that it takes writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use postern_shared::durable;
use postern_shared::look::{Disk, Facts, Memory, Processors};

/// The file that is written to see whether the disk takes it.
const TRIAL: &str = "trial";

/// CPU credits, in words.
const NO_CREDITS: &str = "burstable machines have them, but the provider tells them to its own monitoring only (at AWS, \
                          CPUCreditBalance in CloudWatch); where they are spent, stolen time grows";

/// Looks, with the state directory at `directory`. Waits for the disk.
pub fn look(directory: &Path) -> Facts {
    let mut unknown = BTreeMap::from([("cpu_credits".to_owned(), NO_CREDITS.to_owned())]);
    let mut known = |name: &str, found: io::Result<String>| {
        found.map_err(|error| unknown.insert(name.to_owned(), error.to_string())).ok()
    };
    let memory = known("memory", fs::read_to_string("/proc/meminfo")).and_then(|text| memory(&text));
    let resident = known("resident", fs::read_to_string("/proc/self/status"));
    let uptime = known("uptime", fs::read_to_string("/proc/uptime"));
    let processors = known("processors", fs::read_to_string("/proc/stat"));
    let load = known("load", fs::read_to_string("/proc/loadavg"));
    let disk = disk(directory).map_err(|error| unknown.insert("disk".to_owned(), error.to_string())).ok();
    Facts {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        uptime: uptime.and_then(|text| text.split('.').next()?.parse().ok()),
        memory,
        resident: resident.and_then(|text| kibibytes(&text, "VmRSS:")),
        disk,
        processors: processors.and_then(|stat| processors_of(&stat, &load.unwrap_or_default())),
        unknown,
    }
}

fn memory(meminfo: &str) -> Option<Memory> {
    let (total, available) = (kibibytes(meminfo, "MemTotal:")?, kibibytes(meminfo, "MemAvailable:")?);
    Some(Memory { total, available })
}

/// A line like `MemTotal:   498876 kB`, in octets.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal, and then guests, which user and nice contain.
fn processors_of(stat: &str, loadavg: &str) -> Option<Processors> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let times: Vec<u64> = all.split_whitespace().take(8).filter_map(|time| time.parse().ok()).collect();
    let (total, stolen) = (times.iter().sum::<u64>(), *times.get(7)?);
    let is_one = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
    Some(Processors {
        count: u32::try_from(stat.lines().filter(is_one).count()).ok()?,
        load: loadavg.split_whitespace().nth(1).and_then(|mean| mean.parse().ok()).unwrap_or_default(),
        stolen: u32::try_from(stolen.saturating_mul(10_000).checked_div(total)?).ok()?,
    })
}

fn disk(directory: &Path) -> io::Result<Disk> {
    let found = rustix::fs::statvfs(directory)?;
    let trial = directory.join(TRIAL);
    let written = durable::write_secret(&trial, b"written\n").and_then(|()| fs::remove_file(&trial));
    Ok(Disk {
        total: found.f_blocks * found.f_frsize,
        free: found.f_bavail * found.f_frsize,
        not_writable: written.err().map(|error| error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let facts = look(directory.path());
        let memory = facts.memory.unwrap();
        assert!(memory.available > 0 && memory.available <= memory.total, "{memory:?}");
        assert!(facts.resident.unwrap() > 1 << 20 && facts.uptime.is_some() && facts.time > 1_700_000_000);
        let disk = facts.disk.unwrap();
        assert!(disk.free > 0 && disk.free <= disk.total && disk.not_writable.is_none(), "{disk:?}");
        assert!(facts.processors.unwrap().count >= 1);
        assert_eq!(facts.unknown.keys().collect::<Vec<_>>(), ["cpu_credits"]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing stays behind");
    }

    #[test]
    fn stolen_time_is_a_part_of_all_time() {
        let stat =
            "cpu  100 0 100 700 0 0 50 50 30 0\ncpu0 50 0 50 350 0 0 25 25\ncpu1 1 1 1 1 1 1 1 1\nintr 7\n";
        let seen = processors_of(stat, "0.10 0.25 0.30 1/100 4242\n").unwrap();
        assert_eq!(seen, Processors { count: 2, load: 0.25, stolen: 500 });
        assert_eq!(processors_of("cpu  0 0 0 0 0 0 0 0\n", ""), None);
    }

    #[test]
    fn a_disk_that_takes_nothing_says_so() {
        let gone = Path::new("/proc/1/no-such-directory");
        assert!(look(gone).unknown.contains_key("disk"));
        // /proc has a size, and takes no file from anybody.
        assert!(disk(Path::new("/proc")).unwrap().not_writable.is_some());
    }
}
