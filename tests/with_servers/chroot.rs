//! Runs the static binary in a root file system that contains only busybox and git with its
//! libraries: no bash, no curl, no CA files. Each test runs itself again in its own network and
//! mount namespaces.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{BINARY, manifest_dir, nameserver::NameServer, recorder::Recorder, sid, tls::Authority};

/// Variable that marks the run inside the namespaces.
const WITHIN: &str = "GITEA_LIGHTSTEP_WITHIN_NAMESPACES";

/// Runs `test` in its own network and mount namespaces, as root or in a user namespace. `name` is
/// the name of the test function.
#[track_caller]
fn in_namespaces(name: &str, test: impl FnOnce()) {
    if std::env::var_os(WITHIN).is_some() {
        let up = Command::new(sid::root().join("usr/bin/busybox"))
            .args(["ip", "link", "set", "lo", "up"])
            .status();
        assert!(up.expect("start busybox").success(), "the loopback interface of the new network is down");
        return test();
    }
    let flags = if rustix::process::geteuid().is_root() { "-mn" } else { "-rmn" };
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("unshare")
        .arg(flags)
        .arg(program)
        .args(["--exact", &format!("chroot::{name}"), "--nocapture"])
        .env(WITHIN, "1")
        .output()
        .expect("start unshare");
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "this test needs root or unprivileged user namespaces (unshare {flags}):\n{said}"
    );
}

/// The root file system, with a repository.
struct Root {
    dir: TempDir,
    mounted: Vec<PathBuf>,
}

/// The result of a command inside the root file system.
#[derive(Debug)]
#[must_use]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Root {
    fn new(has_proc: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("gitea-lightstep-test-").tempdir().expect("a directory");
        let mut root = Self { dir, mounted: Vec::new() };
        let copied = Command::new("cp").arg("-RP").arg(sid::root().join(".")).arg(root.path("")).status();
        assert!(copied.expect("start cp").success());
        if fs::hard_link(BINARY, root.path("usr/bin/gitea-lightstep")).is_err() {
            fs::copy(BINARY, root.path("usr/bin/gitea-lightstep")).expect("copied");
        }
        root.write("etc/passwd", "root:x:0:0:root:/home:/bin/sh\n");
        root.write("dev/null", "");
        root.mount(&["--bind", "/dev/null"], "dev/null");
        if has_proc {
            root.mount(&["--rbind", "/proc"], "proc");
        }
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    fn executable(&self, name: &str, content: &str) {
        self.write(name, content);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("permissions");
    }

    fn mount(&mut self, what: &[&str], at: &str) {
        let at = self.path(at);
        let mounted = Command::new("mount").args(what).arg(&at).status();
        assert!(mounted.expect("start mount").success(), "{}", at.display());
        self.mounted.push(at);
    }

    /// Runs a command inside the root file system, without the machine's environment.
    fn run(&self, command: &[&str], variables: &[(&str, &str)]) -> Ran {
        // Use busybox's chroot, because the machine's is in /usr/sbin, which may not be in `PATH`.
        let output = Command::new(sid::root().join("usr/bin/busybox"))
            .arg("chroot")
            .arg(self.dir.path())
            .args(command)
            .env_clear()
            .env("PATH", "/usr/bin")
            .env("HOME", "/home")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("start chroot");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn configure(&self, endpoint: &str, more: &str) {
        self.write(
            "etc/gitea-lightstep/config.toml",
            format!(
                "[policy.limits]\ntime = \"20s\"\n[delivery]\nlinger = \"10s\"\n[[destination]]\nname = \"collector\"\n\
                 kind = \"otlp\"\nendpoint = \"{endpoint}\"\n{more}"
            ),
        );
    }

    /// Creates the repository like Gitea, with the shipped wrapper, and a clone.
    fn serve(&self) {
        const DELEGATE: &str = include_str!("../../src/scratch/delegate.sh");
        let wrapper = fs::read_to_string(manifest_dir().join("hooks/gitea-lightstep")).expect("the wrapper");
        let wrapper = wrapper.replace("bin=/usr/local/bin/", "bin=/usr/bin/");
        self.write(
            "home/.gitconfig",
            "[user]\nname = Ann\nemail = ann@example.org\n[init]\ndefaultBranch = main\n[gc]\nauto = 0\n[maintenance]\nauto = false\n",
        );
        let ran = self.sh("git init -q --bare /git/acme/shop.git; git init -q /clone");
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
        self.executable("git/acme/shop.git/hooks/post-receive", DELEGATE);
        self.executable("git/acme/shop.git/hooks/post-receive.d/gitea-lightstep", &wrapper);
    }

    fn sh(&self, script: &str) -> Ran {
        self.run(&["/bin/sh", "-ec", script], &[])
    }

    /// Commits and pushes.
    fn push(&self, title: &str) -> Ran {
        let script = format!(
            "cd /clone; git commit -q --allow-empty -m '{title}'; git push -q /git/acme/shop.git main"
        );
        self.run(
            &["/bin/sh", "-ec", &script],
            &[("GITEA_PUSHER_NAME", "ann"), ("SSL_CERT_FILE", "/etc/ca.pem")],
        )
    }

    /// Runs `deliver`, and returns the reason if the delivery fails.
    #[track_caller]
    fn deliver(&self, variables: &[(&str, &str)]) -> Option<String> {
        let ran = self.run(&["gitea-lightstep", "deliver"], variables);
        if ran.stdout == "1 marker delivered\n" {
            assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
            return None;
        }
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let log = self.run(&["gitea-lightstep", "log", "--json"], &[]).stdout;
        let mut entries =
            log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let last = entries.rfind(|entry| entry["record"] == "delivery");
        let why = last.unwrap_or_else(|| panic!("{ran:?}\n{log}"))["why"].as_str().expect("text").to_string();
        Some(why)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        for mounted in self.mounted.drain(..) {
            let gone = Command::new("umount").arg("-l").arg(&mounted).status();
            // The directory is removed next. Unmounting keeps the machine's own files out of it.
            assert!(gone.expect("start umount").success(), "{}", mounted.display());
        }
    }
}

/// Returns true if a program needs a loader, which means that it has a segment of type INTERP
/// (elf(5), 64-bit, little-endian).
fn has_interpreter(program: &Path) -> bool {
    let elf = fs::read(program).expect("the program");
    let number = |at: usize, length: usize| {
        elf[at..at + length].iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|nth| number(offset + nth * size, 4) == 3)
}

#[test]
fn binary_is_static() {
    assert!(has_interpreter(&sid::root().join("usr/bin/git")), "a dynamic binary is recognised");
    assert!(!has_interpreter(Path::new(BINARY)));
}

#[test]
fn demo_runs_with_only_git_and_busybox() {
    in_namespaces("demo_runs_with_only_git_and_busybox", || {
        let root = Root::new(true);
        let ran = root.run(&["gitea-lightstep", "demo"], &[]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        for event in ["gitea_lightstep.change", "gitea_lightstep.release", "gitea_lightstep.deployment"] {
            assert!(ran.stdout.contains(&format!("received {event}")), "{}", ran.stdout);
        }
    });
}

#[test]
fn push_is_delivered_over_tls_with_a_private_ca() {
    in_namespaces("push_is_delivered_over_tls_with_a_private_ca", || {
        let authority = Authority::new("Internal CA");
        // A CA from the environment, a CA from the configuration, and a system without /proc.
        for (variable, more, has_proc) in [
            ("/etc/ca.pem", "", true),
            ("/etc/elsewhere", "ca_file = \"/etc/ca.pem\"\n", true),
            ("/etc/ca.pem", "", false),
        ] {
            let root = Root::new(has_proc);
            let server = Recorder::with_tls(&authority.issue(&["otlp.test"]));
            root.write("etc/hosts", "127.0.0.1 localhost\n127.0.0.1 otlp.test\n");
            root.write(variable.trim_start_matches('/'), authority.pem());
            root.write("etc/ca.pem", authority.pem());
            root.configure(&format!("https://otlp.test:{}", server.port()), more);
            root.serve();
            let ran = root.push("In a small room");
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
            assert!(ran.stderr.contains("remote: gitea-lightstep: change shop "), "{}", ran.stderr);
            let requests = server.wait_for(1);
            assert!(requests[0].content().windows(15).any(|bytes| bytes == b"In a small room"));
        }
    });
}

#[test]
fn names_are_resolved_with_any_nsswitch_configuration() {
    in_namespaces("names_are_resolved_with_any_nsswitch_configuration", || {
        let authority = Authority::new("Internal CA");
        let server = Recorder::with_tls(&authority.issue(&["otlp.test", "otlp"]));
        let names = NameServer::knowing("otlp.test", Ipv4Addr::LOCALHOST);
        let root = Root::new(true);
        root.write("etc/ca.pem", authority.pem());
        root.serve();
        // Without a destination, the push stays in the spool.
        root.write("etc/gitea-lightstep/config.toml", "");
        let endpoint = |name: &str| format!("https://{name}:{}", server.port());
        let ca_file = "ca_file = \"/etc/ca.pem\"\n";
        // The module belongs to the C library of the root file system. The binary contains a
        // different version of that library.
        assert!(
            root.path("lib").join("x86_64-linux-gnu/libnss_resolve.so.2").exists()
                || cfg!(not(target_arch = "x86_64"))
        );
        let (debian, fedora) = (
            "hosts: files resolve mdns4_minimal [NOTFOUND=return] dns\n",
            "hosts: mymachines resolve [!UNAVAIL=return] files dns\n",
        );
        for (nth, (hosts, resolv_conf, nsswitch, name, asked)) in [
            ("127.0.0.1 otlp.test\n", "", "", "otlp.test", &[][..]),
            ("127.0.0.1 otlp.test\n", "nameserver 127.0.0.1\n", debian, "otlp.test", &[]),
            ("", "nameserver 127.0.0.1\n", "", "otlp.test", &["otlp.test"]),
            ("", "nameserver 127.0.0.1\n", "hosts: files dns\n", "otlp.test", &["otlp.test"]),
            ("", "nameserver 127.0.0.1\n", debian, "otlp.test", &["otlp.test"]),
            ("", "nameserver 127.0.0.1\n", fedora, "otlp.test", &["otlp.test"]),
            ("", "nameserver 127.0.0.3\nnameserver 127.0.0.1\n", "", "otlp.test", &["otlp.test"]),
            (
                "",
                "nameserver 127.0.0.1\nsearch corp.test test\n",
                debian,
                "otlp",
                &["otlp.corp.test", "otlp.test"],
            ),
            // Without /etc/resolv.conf, the server on this machine is asked.
            ("", "", "", "otlp.test", &["otlp.test"]),
        ]
        .into_iter()
        .enumerate()
        {
            for (file, text) in [("hosts", hosts), ("resolv.conf", resolv_conf), ("nsswitch.conf", nsswitch)]
            {
                let _ = fs::remove_file(root.path("etc").join(file));
                if !text.is_empty() {
                    root.write(&format!("etc/{file}"), text);
                }
            }
            root.write("etc/gitea-lightstep/config.toml", "");
            assert_eq!(root.push(&format!("Push {nth}")).code, Some(0));
            root.configure(&endpoint(name), ca_file);
            assert_eq!(root.deliver(&[]), None, "{hosts:?} {resolv_conf:?} {nsswitch:?}");
            assert_eq!(names.asked(), asked, "{hosts:?} {resolv_conf:?} {nsswitch:?}");
        }
        assert_eq!(server.requests().len(), 9);

        // The error messages of failed deliveries.
        root.write("etc/gitea-lightstep/config.toml", "");
        assert_eq!(root.push("In vain").code, Some(0));
        root.write("etc/resolv.conf", "nameserver 127.0.0.1\n");
        root.configure(&endpoint("otlp.test"), "");
        assert_eq!(
            root.deliver(&[]).as_deref(),
            Some(
                "the server's certificate is not signed by a trusted CA; \
                 set the destination's `ca_file` to a PEM file with the server's CA"
            )
        );
        root.configure(&endpoint("unknown.test"), ca_file);
        assert_eq!(
            root.deliver(&[]).as_deref(),
            Some(
                "failed to resolve `unknown.test`: it is not in /etc/hosts, \
                 and unknown to the name servers in /etc/resolv.conf (127.0.0.1)"
            )
        );
        root.write("etc/resolv.conf", "nameserver 127.0.0.3\n");
        root.configure(&endpoint("otlp.test"), ca_file);
        assert_eq!(
            root.deliver(&[]).as_deref(),
            Some(
                "failed to resolve `otlp.test` with the name servers in /etc/resolv.conf: \
                 127.0.0.3: Connection refused (os error 111)"
            )
        );
        root.configure("https://other.test", "proxy = \"http://proxy.test:3128\"\n");
        let why = root.deliver(&[]).expect("delivery fails because the proxy does not exist");
        assert!(
            why.starts_with("through the proxy http://proxy.test:3128: failed to resolve `proxy.test`"),
            "{why}"
        );
        assert_eq!(root.deliver(&[("HTTPS_PROXY", "http://127.0.0.1:1")]), Some(why));
        assert_eq!(server.requests().len(), 9);
    });
}

#[test]
fn silent_name_server_is_limited_by_the_connect_timeout() {
    in_namespaces("silent_name_server_is_limited_by_the_connect_timeout", || {
        let root = Root::new(true);
        root.serve();
        root.write("etc/gitea-lightstep/config.toml", "");
        assert_eq!(root.push("In vain").code, Some(0));
        let silent = std::net::UdpSocket::bind("127.0.0.1:53").expect("a port");
        root.write("etc/resolv.conf", "nameserver 127.0.0.1\nsearch a.test b.test c.test\noptions ndots:5\n");
        root.configure("https://otlp.test", "");
        let start = std::time::Instant::now();
        let why = root.deliver(&[]).expect("delivery fails because the name server does not answer");
        assert_eq!(
            why,
            "failed to resolve `otlp.test` with the name servers in /etc/resolv.conf: 127.0.0.1: no response"
        );
        let took = start.elapsed();
        assert!((Duration::from_secs(4)..Duration::from_secs(15)).contains(&took), "{took:?}");
        drop(silent);
    });
}
