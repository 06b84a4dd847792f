//! PEM text: files of certificates and keys, read with a limit, and what is wrong with them by line.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::{FileProblem, TlsError};

/// The longest file that is read: ten times all the CAs that browsers know.
const FILE_LIMIT: u64 = 4 << 20;

/// Where PEM text comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file, at most 4 MiB.
    File(PathBuf),
    /// The text itself.
    Bytes(Vec<u8>),
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&PathBuf> for Pem {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&Path> for Pem {
    fn from(path: &Path) -> Self {
        Self::File(path.into())
    }
}

impl From<Vec<u8>> for Pem {
    fn from(text: Vec<u8>) -> Self {
        Self::Bytes(text)
    }
}

impl std::fmt::Debug for Pem {
    /// The path; never the text, which may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Bytes(text) => write!(f, "Bytes({} of them)", text.len()),
        }
    }
}

impl Pem {
    /// What it is called in errors.
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Bytes(_) => "given PEM".to_owned(),
        }
    }

    pub(super) fn error(&self, problem: FileProblem) -> TlsError {
        TlsError::File { file: self.name(), problem }
    }

    /// The text.
    pub(super) fn read(&self) -> Result<Vec<u8>, TlsError> {
        let text = match self {
            Self::Bytes(text) => Ok(text.clone()),
            Self::File(path) => read_file(path),
        };
        text.map_err(|problem| self.error(problem))
    }

    /// All certificates of the text, at least one.
    pub(super) fn certificates(&self, text: &[u8]) -> Result<Vec<Certificate>, TlsError> {
        let sections = sections(text).map_err(|problem| self.error(problem))?;
        let found = kinds(&sections);
        let certificates: Vec<_> = sections
            .into_iter()
            .filter(|section| section.kind == SectionKind::Certificate)
            .map(|section| Certificate { line: section.line, der: section.der.into() })
            .collect();
        if certificates.is_empty() {
            return Err(self.error(FileProblem::NoCertificate { found }));
        }
        Ok(certificates)
    }

    /// The first private key of the text.
    pub(super) fn key(&self, text: &[u8]) -> Result<Key, TlsError> {
        // The parser passes over sections that it does not know, and this one has to be told.
        if let Some(line) = line_of(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(self.error(FileProblem::EncryptedKey { line }));
        }
        let sections = sections(text).map_err(|problem| self.error(problem))?;
        let found = kinds(&sections);
        let key = sections.into_iter().find_map(|section| {
            let line = section.line;
            PrivateKeyDer::from_pem(section.kind, section.der).map(|der| Key { line, der })
        });
        key.ok_or_else(|| self.error(FileProblem::NoKey { found }))
    }
}

/// A certificate and the line where it begins.
pub(super) struct Certificate {
    pub(super) line: usize,
    pub(super) der: CertificateDer<'static>,
}

/// A private key and the line where it begins.
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) der: PrivateKeyDer<'static>,
}

struct Section {
    line: usize,
    kind: SectionKind,
    der: Vec<u8>,
}

fn read_file(path: &Path) -> Result<Vec<u8>, FileProblem> {
    // Looked at first: opening a pipe would wait for somebody to write into it.
    let about = std::fs::metadata(path).map_err(FileProblem::Unreadable)?;
    if !about.is_file() {
        return Err(FileProblem::NotAFile);
    }
    let mut text = Vec::new();
    let file = File::open(path).map_err(FileProblem::Unreadable)?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut text).map_err(FileProblem::Unreadable)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(FileProblem::TooLong { limit: FILE_LIMIT });
    }
    Ok(text)
}

/// All sections of a kind that is known, at least one.
fn sections(text: &[u8]) -> Result<Vec<Section>, FileProblem> {
    let mut rest = text;
    let mut sections = Vec::new();
    loop {
        let begins = next_begin(text, text.len() - rest.len());
        match pem::from_buf(&mut rest) {
            Ok(Some((kind, der))) => sections.push(Section { line: begins, kind, der }),
            Ok(None) if sections.is_empty() && line_of(text, b"-----BEGIN ").is_none() => {
                return Err(FileProblem::NotPem);
            }
            Ok(None) => return Ok(sections),
            Err(error) => return Err(FileProblem::BadPem { line: begins, what: words(&error) }),
        }
    }
}

fn words(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "this section has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "this BEGIN line is malformed".to_owned(),
        pem::Error::Base64Decode(_) => "the text of this section is not base64".to_owned(),
        other => other.to_string(),
    }
}

/// The line, counted from 1, of the first BEGIN at or behind a position.
fn next_begin(text: &[u8], from: usize) -> usize {
    let offset = find(&text[from..], b"-----BEGIN ").unwrap_or(0);
    line_at(text, from + offset)
}

fn line_of(text: &[u8], what: &[u8]) -> Option<usize> {
    find(text, what).map(|at| line_at(text, at))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn line_at(text: &[u8], at: usize) -> usize {
    text[..at].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn kinds(sections: &[Section]) -> String {
    let mut kinds: Vec<&str> = sections.iter().map(|section| kind_in_words(section.kind)).collect();
    kinds.dedup();
    if kinds.is_empty() { "sections of kinds that are not known".to_owned() } else { kinds.join(", ") }
}

fn kind_in_words(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Certificate => "certificates",
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => "a private key",
        SectionKind::PublicKey => "a public key",
        SectionKind::Csr => "a certificate signing request",
        SectionKind::Crl => "a revocation list",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Pem {
        Pem::Bytes(text.into())
    }

    fn certificates(text: &str) -> String {
        let pem = given(text);
        let read = pem.read().and_then(|text| pem.certificates(&text));
        read.map_or_else(
            |error| error.to_string(),
            |found| found.iter().map(|one| format!("{} ", one.line)).collect(),
        )
    }

    fn key(text: &str) -> String {
        let pem = given(text);
        let read = pem.read().and_then(|text| pem.key(&text));
        read.map_or_else(|error| error.to_string(), |key| key.line.to_string())
    }

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn sections_are_found_among_other_text_with_the_line_they_begin_at() {
        let text = format!("subject: x\n{CERTIFICATE}# the CA\n\n{KEY}{CERTIFICATE}");
        assert_eq!(certificates(&text), "2 10 ");
        assert_eq!(key(&text), "7");
        assert_eq!(certificates(&text.replace('\n', "\r\n")), "2 10 ");
    }

    #[test]
    fn what_is_wrong_is_said_with_the_line() {
        for (text, said) in [
            (
                "",
                "given PEM: has no PEM section (\"-----BEGIN ...\"); a DER file can be converted with openssl x509 or openssl pkey",
            ),
            (KEY, "given PEM: has no certificate in it, only: a private key"),
            (
                "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n",
                "given PEM: has no certificate in it, only: sections of kinds that are not known",
            ),
            ("a\n-----BEGIN CERTIFICATE-----\nAAAA\n", "given PEM: line 2: this section has no END line"),
            ("a\nb\n-----BEGIN CERTIFICATE--\nAAAA\n", "given PEM: line 3: this BEGIN line is malformed"),
            (
                "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n",
                "given PEM: line 1: the text of this section is not base64",
            ),
        ] {
            assert_eq!(certificates(text), said);
        }
        assert_eq!(key(CERTIFICATE), "given PEM: has no private key in it, only: certificates");
        assert_eq!(
            key("\n-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
            "given PEM: line 2: the private key is encrypted, which a server that starts by itself cannot use"
        );
    }

    #[test]
    fn a_file_is_read_up_to_the_limit_and_not_a_byte_past_it() {
        let folder = std::env::temp_dir().join(format!("trunkline-pem-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder of our own");
        let path = folder.join("long");
        for (length, fits) in [(FILE_LIMIT, true), (FILE_LIMIT + 1, false)] {
            std::fs::write(&path, vec![b'\n'; length as usize]).expect("writable");
            assert_eq!(Pem::from(path.as_path()).read().is_ok(), fits, "{length} bytes");
        }
        let missing = Pem::from(folder.join("missing")).read().expect_err("there is none").to_string();
        assert!(
            missing.ends_with("missing: cannot be read: No such file or directory (os error 2)"),
            "{missing}"
        );
        let pipe = Pem::from(folder.as_path()).read().expect_err("a folder").to_string();
        assert!(pipe.ends_with(": is not a file"), "{pipe}");
        std::fs::remove_dir_all(&folder).expect("removable");
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", given(KEY)), format!("Bytes({} of them)", KEY.len()));
    }
}
