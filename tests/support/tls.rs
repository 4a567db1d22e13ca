//! Test certificate authorities, and servers with certificates from them.

use std::{net::TcpStream, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// A CA that is not in any trust store.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The TLS configuration of a server with its certificate.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl Authority {
    /// Creates a CA with this name and a new key.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key()).expect("a certificate"))
    }

    /// Returns the certificate of the CA.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Issues a server certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_until(names, 2096)
    }

    /// Issues a server certificate that expires at the start of `year`.
    pub fn issue_until(&self, names: &[&str], year: i32) -> Identity {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_after = date_time_ymd(year, 1, 1);
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity::new(certificate.der().clone(), &key)
    }

    /// Returns an identity that uses the CA certificate itself as the server certificate.
    pub fn as_server(&self) -> Identity {
        Identity::new(self.0.der().clone(), self.0.key())
    }
}

impl Identity {
    fn new(certificate: CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a certificate with its key");
        Self(Arc::new(config))
    }

    /// Performs the TLS handshake. Returns `None` if it fails.
    pub fn accept(&self, mut stream: TcpStream) -> Option<StreamOwned<ServerConnection, TcpStream>> {
        let mut connection = ServerConnection::new(self.0.clone()).expect("a connection");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).ok()?;
        }
        Some(StreamOwned::new(connection, stream))
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
