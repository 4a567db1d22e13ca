//! The CAs that the certificate of a destination may come from: those of its `ca_file` and no others; else the machine's, and
//! those of Mozilla that are compiled in.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use rustls::{RootCertStore, pki_types::CertificateDer};
use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::regular;

/// Where systems keep the CAs that they trust, in one file of PEM.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine, Arch, Gentoo
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // older ones
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine without ca-certificates
];

/// Variables of OpenSSL, which name a file and directories in place of the system's.
const FILE: &str = "SSL_CERT_FILE";
const DIRS: &str = "SSL_CERT_DIR";

/// How large a file of certificates may be, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Certificates of CAs.
#[derive(Default)]
pub(super) struct Trust {
    pub certificates: Vec<Certificate<'static>>,
    /// What could not be read. It matters to whoever misses a CA.
    pub troubles: Vec<String>,
}

impl Trust {
    /// Returns the machine's: what `SSL_CERT_FILE` and `SSL_CERT_DIR` name, else the system's.
    pub fn of_machine() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        match (set(FILE), set(DIRS)) {
            (None, None) => Self::of_system(),
            (file, dirs) => Self::of_variables(file.as_deref(), dirs.as_deref()),
        }
    }

    fn of_system() -> Self {
        let mut trust = Self::default();
        if let Some(bundle) = BUNDLES.iter().map(Path::new).find(|bundle| bundle.exists()) {
            match read(bundle) {
                Ok(certificates) => trust.certificates = certificates,
                Err(why) => trust.troubles.push(why),
            }
        }
        trust
    }

    fn of_variables(file: Option<&OsStr>, dirs: Option<&OsStr>) -> Self {
        let mut trust = Self::default();
        if let Some(file) = file {
            match usable(Path::new(file)) {
                Ok(certificates) => trust.certificates.extend(certificates),
                Err(why) => trust.troubles.push(format!("{FILE}: {why}")),
            }
        }
        for dir in dirs.into_iter().flat_map(env::split_paths).filter(|dir| !dir.as_os_str().is_empty()) {
            match files(&dir) {
                // Beside certificates there may be keys, lists of revoked ones, and notes.
                Ok(files) => {
                    trust.certificates.extend(files.iter().filter_map(|file| read(file).ok()).flatten());
                }
                Err(err) => trust.troubles.push(format!("{DIRS}: failed to list `{}`: {err}", dir.display())),
            }
        }
        trust
    }
}

fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// Reads the certificates of a file that somebody named, each of which has to be one that can be used.
///
/// # Errors
/// If the file cannot be read, or holds anything else or nothing. The text names it.
pub(super) fn usable(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let certificates = read(path)?;
    let wrong = |why: &str| Err(format!("`{}` {why}", path.display()));
    if certificates.is_empty() {
        return wrong("holds no certificate in PEM, which begins with `-----BEGIN CERTIFICATE-----`");
    }
    for (nth, certificate) in certificates.iter().enumerate() {
        if let Err(err) = RootCertStore::empty().add(CertificateDer::from(certificate.der())) {
            return wrong(&format!(
                "holds a certificate that is broken, the one with the number {}: {err}",
                nth + 1
            ));
        }
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let failed = |why: String| format!("failed to read `{}`: {why}", path.display());
    let mut text = Vec::new();
    regular::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
        .map_err(|err| failed(err.to_string()))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(err) => Some(Err(failed(format!("it is no PEM: {err}")))),
    });
    certificates.collect()
}

/// Checks that a destination's `ca_file` can be used.
///
/// # Errors
/// If it cannot. The text names the file.
pub fn check_ca_file(path: &Path) -> Result<(), String> {
    usable(path).map(drop)
}
