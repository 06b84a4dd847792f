//! What can be wrong with TLS, in words: a file of ours, the remote's certificate, our own in the remote's eyes, or
//! the bytes.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::IpAddr;

use rustls::{
    AlertDescription, CertificateError, Error as Rustls, InvalidMessage, PeerIncompatible, PeerMisbehaved,
};

use super::time::Date;

/// Why TLS could not be set up, or did not come about on a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The program has not installed a rustls `CryptoProvider`; the library never chooses one.
    #[error(
        "no cryptography was chosen: the program has to install a rustls CryptoProvider before it uses TLS"
    )]
    NoProvider,
    /// The system has no trusted certificates, or none that can be read.
    #[error(
        "no trusted certificates were found on this system{}: install its ca-certificates package, or name a CA file",
        Listed(.problems)
    )]
    NoSystemRoots {
        /// What was wrong with those that were found.
        problems: Vec<String>,
    },
    /// A file of certificates or keys is not what it should be.
    #[error("{file}: {problem}")]
    File {
        /// Its path; `given PEM` for text that came from no file.
        file: String,
        /// What is wrong with it.
        problem: FileProblem,
    },
    /// The options contradict themselves, or the provider cannot serve them.
    #[error("{0}")]
    Options(String),
    /// What should be verified is neither a DNS name nor an IP address.
    #[error(
        "{host:?} is neither a DNS name nor an IP address: there is nothing to verify a certificate against"
    )]
    NotAHost {
        /// As it was given.
        host: String,
    },
    /// TLS on one stream failed.
    #[error("TLS with {with}: {why}")]
    Failed {
        /// The other end.
        with: Remote,
        /// What happened.
        why: Failure,
    },
    /// No failure: an ACME server has asked on this stream whether the domain is ours, and was answered. That was all
    /// it wanted.
    #[error("an ACME challenge was answered on this stream")]
    ChallengeAnswered,
}

impl TlsError {
    /// Whether the stream was an ACME server's and has served its purpose.
    pub fn is_challenge(&self) -> bool {
        matches!(self, Self::ChallengeAnswered)
    }

    pub(super) fn failed(with: Remote, error: io::Error) -> Self {
        Self::Failed { with, why: Failure::from_io(error) }
    }

    pub(super) fn setup(error: Rustls) -> Self {
        Self::Options(format!("the TLS options cannot be used: {error}"))
    }
}

/// The other end of a stream, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The server of this name or address.
    Server(String),
    /// A client, and the name it asked for.
    Client(Option<String>),
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(host) => f.write_str(host),
            Self::Client(None) => f.write_str("a client"),
            Self::Client(Some(name)) => write!(f, "a client that asked for {name}"),
        }
    }
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// It is a folder that nothing can be written to.
    #[error("cannot be written to: {0}")]
    Unwritable(io::Error),
    /// It is no ordinary file.
    #[error("is not a file")]
    NotAFile,
    /// It is longer than any set of certificates.
    #[error("is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: u64,
    },
    /// There is no PEM section in it.
    #[error(
        "has no PEM section (\"-----BEGIN ...\"); a DER file can be converted with openssl x509 or openssl pkey"
    )]
    NotPem,
    /// A section is broken.
    #[error("line {line}: {what}")]
    BadPem {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// There are sections, but no certificate.
    #[error("has no certificate in it, only: {found}")]
    NoCertificate {
        /// The kinds of sections that it has.
        found: String,
    },
    /// There are sections, but no private key.
    #[error("has no private key in it, only: {found}")]
    NoKey {
        /// The kinds of sections that it has.
        found: String,
    },
    /// The private key asks for a passphrase.
    #[error("line {line}: the private key is encrypted, which a server that starts by itself cannot use")]
    EncryptedKey {
        /// Where the section begins.
        line: usize,
    },
    /// A certificate cannot be used.
    #[error("line {line}: the certificate cannot be used: {what}")]
    BadCertificate {
        /// Where its section begins.
        line: usize,
        /// Why.
        what: String,
    },
    /// The private key cannot be used.
    #[error("line {line}: the private key cannot be used: {what}")]
    BadKey {
        /// Where its section begins.
        line: usize,
        /// Why.
        what: String,
    },
    /// The private key belongs to another certificate.
    #[error("does not belong to the first certificate in {chain}{}", OtherCertificate(.belongs_to))]
    KeyMismatch {
        /// The file of certificates.
        chain: String,
        /// The line of the certificate in that file that it does belong to, if there is one.
        belongs_to: Option<usize>,
    },
}

/// What happened on a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// We do not trust its certificate.
    #[error("its certificate {0}")]
    Untrusted(Untrusted),
    /// It has sent no certificate, and one is required.
    #[error("it sent no certificate, which is required here")]
    NoCertificate,
    /// It has refused us, with this alert.
    #[error("it refused: {}", Alert(*.0))]
    Refused(u8),
    /// What came is no TLS.
    #[error("what it sends is not TLS; does it speak plain HTTP on this port?")]
    NotTls,
    /// It speaks TLS 1.1 or older, or none of our cipher suites.
    #[error("nothing in common: {0}")]
    NothingInCommon(String),
    /// Neither end speaks an application protocol of the other (ALPN).
    #[error("no application protocol in common (ALPN)")]
    NoProtocolInCommon,
    /// There is nothing to show the client yet.
    #[error("there is no certificate to show it yet")]
    NothingToShow,
    /// The stream ended before the handshake did.
    #[error("the stream ended within the handshake")]
    Ended,
    /// The stream ended without a `close_notify`.
    #[error("the stream ended without a close_notify")]
    Truncated,
    /// The stream failed.
    #[error("{0}")]
    Io(io::Error),
    /// It broke a rule of TLS.
    #[error("it broke a rule of TLS: {0}")]
    Broken(String),
}

/// Why a certificate of the remote is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It is for other names.
    #[error("is {}", For(.names))]
    WrongHost {
        /// The names that it is for.
        names: Vec<String>,
    },
    /// It was not issued by a CA that is trusted here.
    #[error(
        "was issued by nobody who is trusted here: a private CA, a self-signed certificate, or an intermediate one that was not sent"
    )]
    UnknownIssuer,
    /// Its time is over.
    #[error("expired on {until}")]
    Expired {
        /// Its last second.
        until: Date,
    },
    /// Its time has not come.
    #[error("is not valid before {from}; is the clock right?")]
    NotYetValid {
        /// Its first second.
        from: Date,
    },
    /// A CA's certificate was shown as a server's, as self-signed ones often are.
    #[error("is one of a CA and not of a server; self-signed?")]
    IsCa,
    /// A signature is wrong.
    #[error("has a signature that is wrong")]
    BadSignature,
    /// It is for another use.
    #[error("is not for this use: {0}")]
    WrongUse(String),
    /// Something else.
    #[error("is not acceptable: {0}")]
    Other(String),
}

impl Failure {
    pub(super) fn from_io(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Rustls>());
        match inner {
            Some(inner) => Self::from_rustls(inner),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Ended,
            None => Self::Io(error),
        }
    }

    fn from_rustls(error: &Rustls) -> Self {
        match error {
            Rustls::InvalidCertificate(why) => Self::Untrusted(Untrusted::from(why)),
            Rustls::NoCertificatesPresented => Self::NoCertificate,
            Rustls::AlertReceived(alert) => Self::Refused(u8::from(*alert)),
            Rustls::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            Rustls::PeerIncompatible(why) => Self::NothingInCommon(incompatible(why)),
            Rustls::NoApplicationProtocol
            | Rustls::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol) => {
                Self::NoProtocolInCommon
            }
            // Said by rustls where its certificate resolver had nothing to give.
            Rustls::General(text) if text.contains("no server certificate chain resolved") => {
                Self::NothingToShow
            }
            Rustls::PeerMisbehaved(why) => Self::Broken(format!("{why:?}")),
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<&CertificateError> for Untrusted {
    fn from(error: &CertificateError) -> Self {
        match error {
            CertificateError::NotValidForNameContext { presented, .. } => {
                Self::WrongHost { names: presented.iter().map(|name| plain_name(name)).collect() }
            }
            CertificateError::NotValidForName => Self::WrongHost { names: Vec::new() },
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::ExpiredContext { not_after, .. } => {
                Self::Expired { until: Date::from(*not_after) }
            }
            CertificateError::NotValidYetContext { not_before, .. } => {
                Self::NotYetValid { from: Date::from(*not_before) }
            }
            CertificateError::BadSignature => Self::BadSignature,
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Self::WrongUse(error.to_string())
            }
            CertificateError::Other(other)
                if matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity)) =>
            {
                Self::IsCa
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// A name out of `DnsName("a.example")` or `IpAddress(127.0.0.1)`, which is how the verifier lists those of a
/// certificate.
pub(super) fn plain_name(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(presented);
    // It writes `0::1`.
    inner.parse::<IpAddr>().map_or_else(|_| inner.trim_matches('"').to_owned(), |address| address.to_string())
}

fn incompatible(why: &PeerIncompatible) -> String {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::SupportedVersionsExtensionRequired => {
            "it speaks neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon => "no cipher suite".to_owned(),
        PeerIncompatible::NoKxGroupsInCommon => "no key exchange group".to_owned(),
        PeerIncompatible::NoSignatureSchemesInCommon => {
            "no signature scheme that fits our certificate".to_owned()
        }
        other => format!("{other:?}"),
    }
}

/// `: a; b`, or nothing.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " ({})", self.0.join("; ")) }
    }
}

/// Which certificate a key does belong to.
struct OtherCertificate<'a>(&'a Option<usize>);

impl fmt::Display for OtherCertificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(line) => {
                write!(f, ", but to the one in its line {line}: the server's own has to come first")
            }
        }
    }
}

/// The names a certificate is for.
struct For<'a>(&'a [String]);

impl fmt::Display for For<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("for no name at all"),
            names => write!(f, "only for {}", names.join(", ")),
        }
    }
}

/// An alert in words (RFC 8446 section 6.2), with its name in the standard.
struct Alert(u8);

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alert = AlertDescription::from(self.0);
        let words = match alert {
            AlertDescription::CertificateRequired => "it requires a certificate of ours",
            AlertDescription::UnknownCA => "it does not know who issued our certificate",
            AlertDescription::CertificateExpired => "it says that our certificate has expired",
            AlertDescription::CertificateRevoked => "it says that our certificate was revoked",
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate => "it does not accept our certificate",
            AlertDescription::AccessDenied => "our certificate gives us no access",
            AlertDescription::UnrecognisedName => "it does not serve the name we asked for",
            AlertDescription::NoApplicationProtocol => "no application protocol in common (ALPN)",
            AlertDescription::ProtocolVersion => "no TLS version in common",
            AlertDescription::HandshakeFailure => "nothing in common",
            AlertDescription::InternalError => "it has a problem of its own",
            _ => "by an alert",
        };
        write!(f, "{words} (alert {}, {alert:?})", self.0)
    }
}

/// An error of the stream above, in our words. Its kind stays, and so does what can be found with `source`.
pub(super) fn in_words(with: impl FnOnce() -> Remote, error: io::Error) -> io::Error {
    let is_rustls = error.get_ref().is_some_and(|inner| inner.is::<Rustls>());
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => Failure::Truncated,
        _ if is_rustls => Failure::from_io(error),
        _ => return error,
    };
    let kind = if matches!(why, Failure::Truncated) {
        io::ErrorKind::UnexpectedEof
    } else {
        io::ErrorKind::InvalidData
    };
    let error: Box<dyn StdError + Send + Sync> = Box::new(TlsError::Failed { with: with(), why });
    io::Error::new(kind, error)
}
