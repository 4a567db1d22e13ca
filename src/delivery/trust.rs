//! CAs that are trusted for a destination's certificate.
//!
//! With a `ca_file`, only its CAs are trusted. Otherwise the machine's CAs are, and Mozilla's,
//! which are compiled in.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use rustls::{RootCertStore, pki_types::CertificateDer};
use thiserror::Error;
use ureq::tls::{Certificate, PemItem, parse_pem};

use crate::{sys::regular_file, text};

/// Files in which systems keep their trusted CAs, in PEM.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Alpine, Arch, Gentoo
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // older releases
    "/etc/ssl/ca-bundle.pem",             // SUSE
    "/etc/ssl/cert.pem",                  // Alpine without ca-certificates
];

/// OpenSSL's variables. They name a file and directories that replace the system's CAs.
const FILE: &str = "SSL_CERT_FILE";
const DIRS: &str = "SSL_CERT_DIR";

/// Maximum size of a certificate file, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Certificates of CAs.
#[derive(Default)]
pub(super) struct Trust {
    pub certificates: Vec<Certificate<'static>>,
    /// Read errors. They may explain a missing CA.
    pub troubles: Vec<String>,
}

impl Trust {
    /// Returns the machine's CAs: those in `SSL_CERT_FILE` and `SSL_CERT_DIR`, else the system's.
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
                Err(err) => trust.troubles.push(text::chain(&err)),
            }
        }
        trust
    }

    fn of_variables(file: Option<&OsStr>, dirs: Option<&OsStr>) -> Self {
        let mut trust = Self::default();
        if let Some(file) = file {
            match usable(Path::new(file)) {
                Ok(certificates) => trust.certificates.extend(certificates),
                Err(err) => trust.troubles.push(format!("{FILE}: {}", text::chain(&err))),
            }
        }
        for dir in dirs.into_iter().flat_map(env::split_paths).filter(|dir| !dir.as_os_str().is_empty()) {
            match files(&dir) {
                // Skip other files, such as keys, revocation lists and notes.
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

/// A CA file that cannot be used.
#[derive(Debug, Error)]
pub enum CaFileError {
    /// The file cannot be read.
    #[error("failed to read `{path}`")]
    Unreadable {
        /// The file.
        path: String,
        /// Error from the system.
        source: io::Error,
    },
    /// The file is larger than any list of CAs.
    #[error("failed to read `{0}`: it is larger than {max} MiB", max = MAX_FILE >> 20)]
    TooLarge(String),
    /// The file is not valid PEM.
    #[error("failed to read `{path}`: it is not valid PEM")]
    NotPem {
        /// The file.
        path: String,
        /// Error from the parser.
        source: ureq::Error,
    },
    /// The file has no certificates.
    #[error("`{0}` does not contain a PEM certificate, which begins with `-----BEGIN CERTIFICATE-----`")]
    Empty(String),
    /// A certificate is broken.
    #[error("`{path}` contains an invalid certificate, number {nth} in the file")]
    Invalid {
        /// The file.
        path: String,
        /// Number of the certificate, counted from 1.
        nth: usize,
        /// Error from the parser.
        source: rustls::Error,
    },
}

/// Reads the certificates of a configured file. All of them must be valid.
///
/// # Errors
/// If the file cannot be read, has no certificates, or has a broken one.
pub(super) fn usable(path: &Path) -> Result<Vec<Certificate<'static>>, CaFileError> {
    let shown = || path.display().to_string();
    let certificates = read(path)?;
    if certificates.is_empty() {
        return Err(CaFileError::Empty(shown()));
    }
    for (nth, certificate) in (1..).zip(&certificates) {
        RootCertStore::empty()
            .add(CertificateDer::from(certificate.der()))
            .map_err(|source| CaFileError::Invalid { path: shown(), nth, source })?;
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, CaFileError> {
    let shown = || path.display().to_string();
    let mut text = Vec::new();
    regular_file::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text))
        .map_err(|source| CaFileError::Unreadable { path: shown(), source })?;
    if text.len() as u64 > MAX_FILE {
        return Err(CaFileError::TooLarge(shown()));
    }
    let certificates = parse_pem(&text).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(source) => Some(Err(CaFileError::NotPem { path: shown(), source })),
    });
    certificates.collect()
}

/// Checks that a destination's `ca_file` can be used.
///
/// # Errors
/// If it cannot.
pub fn check_ca_file(path: &Path) -> Result<(), CaFileError> {
    usable(path).map(drop)
}
