//! What the tests of install.sh do with the simulated machine.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::TIMER_OPTIONS;
use crate::shared::{
    Ran,
    host::{Host, Who, walk},
    manifest_dir,
};

/// Maximum file size whose content is compared; larger files are compared by length.
const MAX_CONTENT: u64 = 1 << 20;

impl Host {
    /// Runs a copy of install.sh.
    pub fn script(&self, who: Who, shell: &[&str], script: &Path, args: &[&str]) -> Ran {
        let mut command = self.command(who, shell[0]);
        command.args(&shell[1..]).arg(script).args(args);
        self.sandbox.run(&mut command, b"")
    }

    /// Runs install.sh with the options that place everything on this machine. There is no timer unless
    /// `args` say where: root's would be on the machine that runs the tests.
    pub fn install(&self, who: Who, shell: &[&str], args: &[&str]) -> Ran {
        let is_of_timer = |arg: &&str| TIMER_OPTIONS.iter().any(|option| arg.starts_with(option));
        let places = if args.iter().any(is_of_timer) { self.places() } else { self.places_without_timer() };
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        self.script(who, shell, &manifest_dir().join("install.sh"), &[&places, args].concat())
    }

    /// Returns a copy of install.sh that uses the caller's `PATH`, so that tests can replace
    /// commands. The original script sets its own `PATH`.
    pub fn script_with_callers_path(&self, name: &str) -> PathBuf {
        let text = fs::read_to_string(manifest_dir().join("install.sh")).expect("install.sh");
        let line = "\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n";
        assert_eq!(text.matches(line).count(), 1, "install.sh does not set its PATH in one line");
        let path = self.sandbox.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text.replace(line, "\n")).expect("a copy");
        path
    }

    /// Returns the options for all paths of this machine.
    pub fn places(&self) -> Vec<String> {
        let options = [
            ("--prefix", "srv/usr"),
            ("--config", "srv/etc/config.toml"),
            ("--state-dir", "srv/var/state"),
            ("--gitea-config", "etc/app.ini"),
        ];
        options.iter().flat_map(|(option, name)| [(*option).to_string(), self.text(name)]).collect()
    }

    /// Returns these options, and the one that leaves out the timer.
    pub fn places_without_timer(&self) -> Vec<String> {
        self.places().into_iter().chain(["--no-timer".to_string()]).collect()
    }

    /// Writes a small script that runs the binary under test. `remark` makes each script different,
    /// and a copy of the real binary would be 100 MB.
    pub fn stand_in(&self, name: &str, remark: &str) -> String {
        self.stand_in_for(&self.real_binary(), name, remark)
    }

    /// Writes a small script that runs `real`.
    pub fn stand_in_for(&self, real: &Path, name: &str, remark: &str) -> String {
        let text = format!("#!/bin/sh\n# {remark}\nexec '{}' \"$@\"\n", real.display());
        self.sandbox.executable(name, &text);
        self.sandbox.path(name).display().to_string()
    }

    /// Describes each path on the machine: mode, owner and content. With `has_times`, the
    /// description includes the modification time, to check that a command changed nothing.
    pub fn listing(&self, has_times: bool) -> BTreeMap<PathBuf, String> {
        let place = self.place("");
        let describe = |path: PathBuf| {
            let metadata = path.symlink_metadata().expect("metadata");
            let content = if metadata.is_symlink() {
                fs::read_link(&path).expect("a link").display().to_string()
            } else if metadata.is_file() && metadata.len() <= MAX_CONTENT {
                String::from_utf8_lossy(&fs::read(&path).expect("a file")).into_owned()
            } else if metadata.is_file() {
                format!("{} bytes", metadata.len())
            } else {
                String::new()
            };
            let mut text = format!("{:o} {}:{} {content}", metadata.mode(), metadata.uid(), metadata.gid());
            if has_times {
                text.push_str(&format!(" {}.{}", metadata.mtime(), metadata.mtime_nsec()));
            }
            (path.strip_prefix(&place).expect("a path below the directory").to_path_buf(), text)
        };
        walk(&place).into_iter().map(describe).collect()
    }

    /// Copies the whole machine to `name` in the sandbox.
    pub fn save(&self, name: &str) {
        self.copy(&self.place(""), &self.sandbox.path(name));
    }

    /// Restores the machine from a copy that [`Self::save`] made.
    pub fn restore(&self, name: &str) {
        fs::remove_dir_all(self.place("")).expect("remove the current tree");
        self.copy(&self.sandbox.path(name), &self.place(""));
    }

    fn copy(&self, from: &Path, to: &Path) {
        let mut cp = self.command(Who::everybody()[0], "cp");
        self.sandbox.run(cp.arg("-a").arg(from).arg(to), b"").succeeded();
    }
}
