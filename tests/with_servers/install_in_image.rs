//! install.sh in minimal environments with only busybox and our binary: containers like Gitea's
//! images, a host with busybox crond, and a host with systemd, whose systemctl is a stub that
//! records its arguments.
//!
//! Only root can create these environments.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::PathBuf,
};

use crate::support::{
    BINARY, Ran, Sandbox, assert_root,
    host::{walk, which},
    manifest_dir,
};

/// ID of Gitea's user in its images.
const GIT: u32 = 1000;

/// A root directory for chroot.
struct Image {
    sandbox: Sandbox,
}

impl Image {
    fn new() -> Self {
        let image = Self { sandbox: Sandbox::new() };
        for dir in ["bin", "dev", "etc", "proc", "tmp", "usr/local/bin"] {
            image.dir(dir, 0, 0o755);
        }
        fs::copy(which("busybox"), image.path("bin/busybox")).expect("busybox");
        let mut list = image.sandbox.command("busybox", &image.sandbox.path(""));
        for applet in image.sandbox.run(list.arg("--list"), b"").succeeded().stdout.lines() {
            if applet != "busybox" {
                symlink("busybox", image.path("bin").join(applet)).expect("a link");
            }
        }
        image.write("etc/passwd", "root:x:0:0:root:/:/bin/sh\ngit:x:1000:1000::/:/bin/sh\n");
        image.write("etc/group", "root:x:0:\ngit:x:1000:\n");
        fs::copy(manifest_dir().join("install.sh"), image.path("tmp/install.sh")).expect("the script");
        let binary = image.path("tmp/gitea-lightstep");
        fs::hard_link(BINARY, &binary)
            .or_else(|_| fs::copy(BINARY, &binary).map(|_| ()))
            .expect("the binary");
        image
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path("image").join(name)
    }

    fn dir(&self, name: &str, owner: u32, mode: u32) {
        fs::create_dir_all(self.path(name)).expect("a directory");
        chown(self.path(name), Some(owner), Some(owner)).expect("an owner");
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("permissions");
    }

    fn write(&self, name: &str, text: &str) {
        self.sandbox.write(&format!("image/{name}"), text);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect(name)
    }

    /// Runs install.sh inside the image as this user.
    fn install(&self, uid: u32, args: &[&str]) -> Ran {
        self.install_on("true", uid, args)
    }

    /// Runs install.sh inside the image with an additional mount.
    fn install_on(&self, mount: &str, uid: u32, args: &[&str]) -> Ran {
        let script = format!(
            "cd \"$1\" && mount -t tmpfs none dev && mknod -m 666 dev/null c 1 3 && mount --bind /proc proc && {mount} && \
             exec chroot --userspec=\"$2:$2\" . /bin/ash /tmp/install.sh \"${{@:3}}\""
        );
        let mut command = self.sandbox.command("unshare", &self.sandbox.path(""));
        command
            .args(["-m", "bash", "-c", &script, "bash"])
            .arg(self.path(""))
            .arg(uid.to_string())
            .args(args);
        command.env("PATH", "/bin:/usr/bin:/sbin:/usr/sbin").env("TMPDIR", "/tmp");
        self.sandbox.run(&mut command, b"")
    }

    /// Returns all paths in the image.
    fn paths(&self) -> Vec<PathBuf> {
        let mut paths = walk(&self.path(""));
        paths.sort();
        paths
    }
}

#[test]
fn container_installation_uses_only_the_data_volume() {
    assert_root();
    // Gitea's two images, and the rootless image as the Kubernetes chart runs it.
    for (uid, volume, owner, mode) in
        [(0, "data", 0, 0o755), (GIT, "var/lib/gitea", GIT, 0o755), (GIT, "data", GIT, 0o2775)]
    {
        let image = Image::new();
        image.dir(volume, owner, mode);
        if volume == "data" {
            // The rootless image has this directory too, but here it is not a volume.
            image.dir("var/lib/gitea", GIT, 0o755);
        }
        let before = image.paths();
        let user = ["--run-user", "git"];
        let options = if uid == 0 { &user[..] } else { &[] };
        let ran = image.install(uid, &[options, &["--container", "--no-hook"]].concat());
        assert!(
            ran.succeeded().stdout.contains(&format!("/{volume}/gitea-lightstep/bin/gitea-lightstep")),
            "{}",
            ran.stdout
        );
        let config = image.read(&format!("{volume}/gitea-lightstep/config.toml"));
        assert!(config.contains(&format!("\nstate_dir = \"/{volume}/gitea-lightstep/state\" ")), "{config}");
        let ran = image.install(uid, &[options, &["--container", "--no-hook"]].concat());
        assert!(ran.succeeded().stdout.contains("(unchanged)"), "{}", ran.stdout);
        assert!(
            ran.stdout.contains("timer          none, because by default this needs root"),
            "{}",
            ran.stdout
        );
        let ran = image.install(uid, &[options, &["--container", "--timer"]].concat());
        assert!(ran.code == Some(1) && ran.stderr.contains("the host's timer"), "{}", ran.stderr);
        fs::remove_dir(image.path(&format!("{volume}/gitea-lightstep/state")))
            .expect("the directory is empty");
        image
            .install(uid, &[options, &["--container", "--no-hook", "--uninstall", "--purge"]].concat())
            .succeeded();
        assert_eq!(image.paths(), before);
    }
    let image = Image::new();
    let ran = image.install(0, &["--container"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("name the data volume with --data-dir"),
        "{}",
        ran.stderr
    );
}

#[test]
fn run_user_is_read_from_app_ini() {
    assert_root();
    let image = Image::new();
    image.dir("var/lib/gitea", GIT, 0o755);
    image.dir("etc/gitea", 0, 0o755);
    image.write("etc/gitea/app.ini", "RUN_USER = git\nWORK_PATH = /var/lib/gitea\n");
    image.install(0, &["--no-hook"]).succeeded();
    let owner =
        |name: &str| std::os::unix::fs::MetadataExt::uid(&fs::metadata(image.path(name)).expect(name));
    assert_eq!((owner("var/lib/gitea-lightstep"), owner("etc/gitea-lightstep/config.toml")), (GIT, 0));

    image.write("etc/gitea/app.ini", "RUN_USER = somebody\nWORK_PATH = /var/lib/gitea\n");
    let ran = image.install(0, &["--no-hook"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("cannot determine the user that Gitea runs as"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("somebody"), "{}", ran.stderr);
}

pub fn process_of_another_user_is_not_used_to_find_gitea() {
    let image = Image::new();
    image.dir("var/lib/gitea", GIT, 0o755);
    image.dir("etc/gitea", 0, 0o755);
    image.dir("etc/cron.d", 0, 0o755);
    image.dir("theirs", 1, 0o755);
    image.sandbox.executable("image/bin/git", "#!/bin/sh\necho git version 2.55.0\n");
    image.write("etc/gitea/app.ini", "RUN_USER = git\nWORK_PATH = /var/lib/gitea\n");
    image.write("tmp/ran", "");
    fs::set_permissions(image.path("tmp/ran"), fs::Permissions::from_mode(0o666)).expect("permissions");
    image.sandbox.executable("image/theirs/git", "#!/bin/sh\nid -u >>/tmp/ran\necho git version 2.55.0\n");
    image.write(
        "theirs/app.ini",
        "RUN_USER = git\nWORK_PATH = /var/lib/gitea\n[repository]\nROOT = /theirs\n[git]\nPATH = /theirs/git\n",
    );
    for name in ["theirs/git", "theirs/app.ini"] {
        chown(image.path(name), Some(1), Some(1)).expect("an owner");
    }
    let process = "{ POSIXLY_CORRECT=1 setpriv --reuid 1 --regid 1 --clear-groups \
                   bash -c 'exec -a gitea yes web --config /theirs/app.ini' | sleep 5 & \
                   until grep -aqs '^gitea.web.--config./theirs/app.ini' /proc/[0-9]*/cmdline; do sleep 0.01; done; }";
    let ran = image.install_on(process, 0, &["--timer"]);
    assert!(ran.succeeded().stdout.contains("/etc/gitea/app.ini, user git"), "{}", ran.stdout);
    assert_eq!(image.read("tmp/ran"), "");
    let cron = image.read("etc/cron.d/gitea-lightstep");
    assert!(cron.contains(" --gitea-config '/etc/gitea/app.ini'"), "{cron}");
    // It is refused even if it is the only candidate.
    fs::rename(image.path("etc/gitea/app.ini"), image.path("etc/gitea/app.ini.old")).expect("renamed");
    let ran = image.install_on(process, 0, &["--timer"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("is not trusted"), "{}", ran.stderr);
    assert_eq!(image.read("tmp/ran"), "");
}

#[test]
fn busybox_crontab_keeps_other_entries() {
    assert_root();
    for lines in ["", "# mine\n0 3 * * *\tbackup 100%\n"] {
        let image = Image::new();
        image.dir("etc/crontabs", 0, 0o755);
        if !lines.is_empty() {
            image.write("etc/crontabs/git", lines);
            fs::set_permissions(image.path("etc/crontabs/git"), fs::Permissions::from_mode(0o600))
                .expect("permissions");
        }
        let before = image.paths();
        let args = ["--timer", "--no-hook", "--run-user", "git"];
        image.install(0, &args).succeeded();
        let crontab = image.read("etc/crontabs/git");
        assert!(
            crontab.starts_with(lines)
                && crontab.contains("\n*/2 * * * * '/usr/local/bin/gitea-lightstep' deliver"),
            "{crontab}"
        );
        assert_eq!(
            fs::metadata(image.path("etc/crontabs/git")).expect("it").permissions().mode() & 0o777,
            0o600
        );
        image.install(0, &args).succeeded();
        assert_eq!(image.read("etc/crontabs/git"), crontab);
        image.install(0, &["--uninstall", "--no-hook", "--run-user", "git"]).succeeded();
        if !lines.is_empty() {
            assert_eq!(image.read("etc/crontabs/git"), lines);
        }
        let left: Vec<_> = image.paths().into_iter().filter(|path| !before.contains(path)).collect();
        let left: Vec<_> = left
            .iter()
            .map(|path| path.strip_prefix(image.path("")).expect("below").display().to_string())
            .collect();
        assert_eq!(
            left,
            [
                "etc/gitea-lightstep",
                "etc/gitea-lightstep/config.toml",
                "var",
                "var/lib",
                "var/lib/gitea-lightstep"
            ]
        );
    }
}

#[test]
fn timer_of_root_is_reported_by_a_removal_that_cannot_remove_it() {
    assert_root();
    for dir in ["etc/cron.d", "run/systemd/system"] {
        let image = Image::new();
        image.dir(dir, 0, 0o755);
        image.dir("etc/systemd/system", 0, 0o755);
        image.dir("home/git", GIT, 0o755);
        image.sandbox.executable("image/bin/systemctl", "#!/bin/sh\n");
        let git = ["--no-hook", "--prefix", "/home/git/usr", "--config", "/home/git/config.toml"];
        let state = ["--state-dir", "/home/git/state"];
        image.install(GIT, &[&git[..], &state].concat()).succeeded();
        image.install(0, &[&git[..], &state, &["--timer", "--run-user", "git"]].concat()).succeeded();
        let ran = image.install(GIT, &[&git[..], &["--uninstall"]].concat());
        assert_eq!(ran.code, Some(1), "{dir}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("still runs this binary; remove it as root"), "{dir}: {}", ran.stderr);
        assert!(!ran.stderr.contains("cannot be read"), "{dir}: {}", ran.stderr);
        // It does not run the binary of another installation.
        let other = ["--no-hook", "--prefix", "/home/git/usr2", "--config", "/home/git/config.toml"];
        image.install(GIT, &[&other[..], &state].concat()).succeeded();
        image.install(GIT, &[&other[..], &["--uninstall"]].concat()).succeeded();
    }
}

#[test]
fn crontab_that_cannot_be_read_is_mentioned_by_a_removal() {
    assert_root();
    let image = Image::new();
    image.dir("etc/crontabs", 0, 0o755);
    image.dir("home/git", GIT, 0o755);
    let options = ["--no-hook", "--prefix", "/home/git/usr", "--config", "/home/git/config.toml"];
    let options = [&options[..], &["--state-dir", "/home/git/state"]].concat();
    image.install(GIT, &options).succeeded();
    image.install(0, &[&options[..], &["--timer", "--run-user", "git"]].concat()).succeeded();
    let ran = image.install(GIT, &[&options[..], &["--uninstall"]].concat());
    let note = "`/etc/crontabs/git` cannot be read, and may still run this binary; as root, install.sh";
    assert!(ran.succeeded().stderr.contains(note), "{}", ran.stderr);
}

#[test]
fn signal_that_ends_a_program_of_the_system_stops_the_run() {
    assert_root();
    let image = Image::new();
    fs::remove_file(image.path("bin/id")).expect("the link");
    // A signal from the terminal reaches the whole process group.
    image.sandbox.executable(
        "image/bin/id",
        "#!/bin/sh\n[ \"$1\" != -G ] || { kill -INT $PPID; exit 1; }\nexec busybox id \"$@\"\n",
    );
    let before = image.paths();
    let ran = image.install(0, &["--no-hook", "--run-user", "git"]);
    assert_eq!(ran.code, Some(130), "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stderr.contains("stopped by SIGINT while trying to find the groups of `git`"),
        "{}",
        ran.stderr
    );
    assert_eq!(image.paths(), before);
}

#[test]
fn systemd_timers_are_started_and_stopped() {
    assert_root();
    let image = Image::new();
    image.dir("run/systemd/system", 0, 0o755);
    image.dir("etc/systemd/system", 0, 0o755);
    image.dir("var/lib", 0, 0o755);
    image.sandbox.executable(
        "image/bin/systemctl",
        "#!/bin/sh\necho \"$*\" >>/tmp/said\n[ \"$1\" != \"$(cat /tmp/fails)\" ]\n",
    );
    image.write("tmp/fails", "nothing");
    image.write("tmp/said", "");
    let said = || {
        let said = image.read("tmp/said");
        image.write("tmp/said", "");
        said.lines().map(ToString::to_string).collect::<Vec<_>>()
    };
    let before = image.paths();
    let args = ["--timer", "--run-user", "git", "--no-hook"];
    let start = ["daemon-reload", "enable --quiet --now gitea-lightstep-deliver.timer"];

    image.write("tmp/fails", "enable");
    let ran = image.install(0, &args);
    assert!(ran.code == Some(1) && ran.stderr.contains("failed to start the timers"), "{}", ran.stderr);
    let undo = ["disable --quiet --now gitea-lightstep-deliver.timer", "daemon-reload"];
    assert_eq!(said(), [start, undo].concat());
    assert_eq!(image.paths(), before);

    image.write("tmp/fails", "nothing");
    image.install(0, &args).succeeded();
    assert_eq!(said(), start);
    assert!(image.path("etc/systemd/system/gitea-lightstep-deliver.timer").exists());
    let installed = image.paths();

    // An earlier run may have been killed before it started the timers, so each run starts them.
    image.install(0, &args).succeeded();
    assert_eq!(said(), start);

    image.write("tmp/fails", "daemon-reload");
    let uninstall = ["--uninstall", "--purge", "--run-user", "git", "--no-hook"];
    let ran = image.install(0, &uninstall);
    assert!(ran.code == Some(1) && ran.stderr.contains("all changes were undone"), "{}", ran.stderr);
    assert_eq!(image.paths(), installed);
    assert_eq!(said(), [undo[0], undo[1], "enable --quiet --now gitea-lightstep-deliver.timer"]);

    image.write("tmp/fails", "nothing");
    image.install(0, &uninstall).succeeded();
    assert_eq!(said(), undo);

    // It is installed by default, and `--no-timer` leaves it out.
    let default = ["--run-user", "git", "--no-hook"];
    image.install(0, &[&default[..], &["--no-timer"]].concat()).succeeded();
    assert_eq!(said(), [""; 0]);
    assert!(!image.path("etc/systemd/system/gitea-lightstep-deliver.timer").exists());
    image.install(0, &default).succeeded();
    assert_eq!(said(), start);
    image.install(0, &uninstall).succeeded();
    assert_eq!(image.paths(), before);
}

#[test]
fn upgrade_adds_the_units_of_the_scan() {
    assert_root();
    let image = Image::new();
    for dir in ["run/systemd/system", "etc/systemd/system", "etc/gitea"] {
        image.dir(dir, 0, 0o755);
    }
    image.dir("var/lib/gitea/home", GIT, 0o755);
    chown(image.path("var/lib/gitea"), Some(GIT), Some(GIT)).expect("an owner");
    image.write("etc/gitea/app.ini", "RUN_USER = git\nWORK_PATH = /var/lib/gitea\n");
    image
        .sandbox
        .executable("image/bin/systemctl", "#!/bin/sh\necho \"$*\" >>/tmp/said\n[ ! -e /tmp/fails ]\n");
    image.sandbox.executable("image/bin/git", "#!/bin/sh\necho git version 2.55.0\n");
    let units = || {
        let units = fs::read_dir(image.path("etc/systemd/system")).expect("the units");
        let mut units: Vec<_> = units.map(|unit| unit.expect("a unit").file_name()).collect();
        units.sort();
        units
    };
    image.install(0, &[]).succeeded();
    let (all, whole) = (units(), image.read("etc/systemd/system/gitea-lightstep-scan.service"));
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(
        whole.contains("\" scan --quiet --config \"/etc/gitea-lightstep/config.toml\" --gitea-config"),
        "{whole}"
    );
    // The files of a version without `scan`, which had other options of `install`.
    for name in ["gitea-lightstep-scan.service", "gitea-lightstep-scan.timer"] {
        fs::remove_file(image.path("etc/systemd/system").join(name)).expect("the unit");
    }
    let old = units();
    image.write("tmp/said", "");
    image.write("tmp/fails", "");
    let ran = image.install(0, &[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("failed to reload"), "{}", ran.stderr);
    assert_eq!(units(), old);
    fs::remove_file(image.path("tmp/fails")).expect("the file");
    image.install(0, &[]).succeeded();
    assert_eq!(units(), all);
    let timers = ["deliver", "install", "scan"].map(|name| format!("gitea-lightstep-{name}.timer")).join(" ");
    assert!(image.read("tmp/said").ends_with(&format!("enable --quiet --now {timers}\n")));
    // A removal copes with the files of the old version too.
    for name in ["gitea-lightstep-scan.service", "gitea-lightstep-scan.timer"] {
        fs::remove_file(image.path("etc/systemd/system").join(name)).expect("the unit");
    }
    image.install(0, &["--uninstall"]).succeeded();
    assert_eq!(units(), [""; 0]);
}

#[test]
fn noexec_mount_is_reported() {
    assert_root();
    let image = Image::new();
    image.dir("noexec", 0, 0o755);
    let mount = "mkdir noexec/bin && mount --bind noexec noexec && mount -o remount,bind,noexec noexec";
    let ran = image.install_on(mount, 0, &["--prefix", "/noexec", "--run-user", "git"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("mounted noexec"), "{}", ran.stderr);
    assert!(image.path("noexec/bin/gitea-lightstep").exists(), "the binary is missing: {}", ran.stdout);
}
