//! Runs nginx as a reverse proxy in front of a receiver.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{rotel, wait_until};

/// An nginx process on its own port; it stops when dropped.
pub struct Nginx {
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Nginx {
    /// Starts nginx in `dir` with this `location` block, and returns when it accepts connections.
    #[track_caller]
    pub fn start(dir: &Path, location: &str) -> Self {
        fs::create_dir_all(dir).expect("a directory");
        // Another process can take the port between this check and nginx's bind.
        for _ in 0..5 {
            let mut nginx = Self { dir: dir.to_path_buf(), port: rotel::free_port(), child: None };
            if nginx.spawn(location) {
                return nginx;
            }
        }
        panic!("nginx found no free port in five attempts");
    }

    /// Returns the base URL for OTLP/HTTP, without `/v1/logs`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Stops nginx. Later connections are refused.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            rotel::terminate(&child);
            wait_until("nginx exits", || child.try_wait().expect("nginx's exit status").is_some());
        }
    }

    /// Restarts nginx on the same port with a new `location` block.
    #[track_caller]
    pub fn restart(&mut self, location: &str) {
        self.stop();
        assert!(self.spawn(location), "nginx did not come back on port {}\n{}", self.port, self.errors());
    }

    /// Returns the status of each answer, including those before a restart.
    pub fn statuses(&self) -> Vec<u16> {
        let log = fs::read_to_string(self.dir.join("access.log")).unwrap_or_default();
        log.lines().map(|status| status.parse().expect("a status")).collect()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.dir.join("error.log")).unwrap_or_default()
    }

    /// Starts nginx. Returns false if another process has the port.
    #[track_caller]
    fn spawn(&mut self, location: &str) -> bool {
        let temp: String = ["client_body", "proxy", "fastcgi", "scgi", "uwsgi"]
            .map(|name| format!("{name}_temp_path {name};\n"))
            .concat();
        // A single process: no worker outlives it, and no other user has to read these files.
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log;\n\
             events {{}}\nhttp {{\nlog_format status $status;\naccess_log access.log status;\n{temp}\
             server {{\nlisten 127.0.0.1:{port};\nlocation / {{\n{location}\n}}\n}}\n}}\n",
            port = self.port,
        );
        fs::write(self.dir.join("nginx.conf"), config).expect("the configuration");
        let errors = self.errors().len();
        let log = File::options().create(true).append(true).open(self.dir.join("error.log"));
        let mut child = Command::new(program())
            .arg("-p")
            .arg(&self.dir)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("the log"))
            .spawn()
            .expect("start nginx");
        let mut has_ended = false;
        wait_until("nginx listens", || {
            has_ended = child.try_wait().expect("nginx's exit status").is_some();
            has_ended || rotel::connects(self.port)
        });
        // Another server may have answered on the port. Nginx tries to bind for 2.5 s before it
        // fails.
        let said = self.errors()[errors..].to_string();
        if said.contains("Address already in use") {
            rotel::kill(&mut child);
            return false;
        }
        assert!(!has_ended, "nginx exited immediately\n{said}");
        self.child = Some(child);
        true
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            rotel::kill(child);
        }
    }
}

/// Finds nginx, which is in /usr/sbin and therefore not in every user's `PATH`.
#[track_caller]
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = dirs.map(|dir: PathBuf| dir.join("nginx")).find(|program| program.is_file());
    found.expect("nginx is missing: install the Debian package nginx, or run tests/run once as root")
}
