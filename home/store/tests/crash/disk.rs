//! A file system of its own for a test, which can lose its power and become full or read-only.

use std::process::Command;

/// A file system in a file.
pub(super) struct Disk {
    image: tempfile::NamedTempFile,
    pub(super) mounted: tempfile::TempDir,
}

impl Disk {
    pub(super) fn new() -> Disk {
        Disk::with_inodes(16_384)
    }

    pub(super) fn with_inodes(inodes: u32) -> Disk {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(256 << 20).unwrap();
        let inodes = inodes.to_string();
        must(
            Command::new("mkfs.ext4").args(["-q", "-F", "-e", "remount-ro", "-N", &inodes]).arg(image.path()),
        );
        let disk = Disk { image, mounted: tempfile::tempdir().unwrap() };
        disk.mount();
        disk
    }

    fn mount(&self) {
        must(Command::new("mount").args(["-o", "loop"]).arg(self.image.path()).arg(self.mounted.path()));
    }

    /// A copy takes the image's place: where another mount namespace still holds the one that was shut down, mounting the
    /// same image again would give the same file system.
    fn copy_image(&mut self) {
        let copy = tempfile::NamedTempFile::new().unwrap();
        must(Command::new("cp").arg("--sparse=always").arg(self.image.path()).arg(copy.path()));
        self.image = copy;
    }

    /// Nothing reaches the image from here on, as if the power were gone: neither data nor log is flushed.
    pub(super) fn cut_power(&self) {
        const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
        const NO_LOG_FLUSH: u32 = 2;
        let root = std::fs::File::open(self.mounted.path()).unwrap();
        // SAFETY: the request reads one u32 through the pointer, which is valid for the call.
        let answer =
            unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(&root), EXT4_IOC_SHUTDOWN, &NO_LOG_FLUSH) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    }

    /// As after an error that the file system found in itself.
    pub(super) fn become_read_only(&self) {
        let device =
            Command::new("findmnt").args(["-no", "SOURCE"]).arg(self.mounted.path()).output().unwrap();
        let device = String::from_utf8(device.stdout).unwrap();
        let name = device.trim().trim_start_matches("/dev/");
        std::fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "test").unwrap();
    }

    pub(super) fn power_on(&mut self) {
        must(Command::new("umount").arg(self.mounted.path()));
        self.copy_image();
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.mounted.path()).status();
    }
}

pub(super) fn must(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(
        status.success(),
        "{command:?}: {status} (this test needs root and the Debian packages e2fsprogs and mount)"
    );
}
