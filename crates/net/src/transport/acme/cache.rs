//! The folder that keeps an account's key and a certificate over restarts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use rustls::crypto::CryptoProvider;
use rustls_acme::{AccountCache, CertCache};

use crate::transport::tls::{FileProblem, Pem, ServedCertificate, TlsError, load};

/// What is known of the certificate in use, to whoever asks the server.
pub(super) type Served = Arc<ArcSwapOption<ServedCertificate>>;

/// Two files: the account's key, and the certificate with its own. Both are for this user alone, and replaced whole.
#[derive(Clone)]
pub(super) struct Cache {
    account: PathBuf,
    certificate: PathBuf,
    domains: Arc<[String]>,
    provider: Arc<CryptoProvider>,
    served: Served,
}

impl Cache {
    /// Makes the folder if it is missing, and finds out whether it can be written to, rather than after the first
    /// order.
    pub(super) fn open(
        folder: PathBuf,
        domains: &[String],
        directory: &str,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, TlsError> {
        // One account per ACME server; one certificate per ACME server and first domain.
        let server = file_name(directory.trim_start_matches("https://"));
        let first = domains.first().map(|domain| file_name(domain)).unwrap_or_default();
        let cache = Self {
            account: folder.join(format!("{server}.account")),
            certificate: folder.join(format!("{server}.{first}.pem")),
            domains: domains.into(),
            provider,
            served: Served::default(),
        };
        let probe = folder.join(".probe");
        let usable = make_folder(&folder)
            .and_then(|()| write(&probe, b""))
            .and_then(|()| std::fs::remove_file(&probe));
        usable.map_err(|error| TlsError::File {
            file: folder.display().to_string(),
            problem: FileProblem::Unwritable(error),
        })?;
        Ok(cache)
    }

    pub(super) fn served(&self) -> Served {
        Arc::clone(&self.served)
    }

    /// The certificate's file, if it is for the domains that are wanted today.
    fn load_certificate(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(text) = read(&self.certificate)? else { return Ok(None) };
        match self.describe(&text) {
            Ok(served) if self.is_wanted(&served) => {
                self.served.store(Some(Arc::new(served)));
                Ok(Some(text))
            }
            Ok(served) => {
                tracing::info!(certificate = %served, "the cached certificate is for other domains");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!(%error, "the cached certificate is unusable");
                Ok(None)
            }
        }
    }

    /// Names have no case, and a CA may keep that of the request.
    fn is_wanted(&self, served: &ServedCertificate) -> bool {
        let is_named = |domain: &String| served.names.iter().any(|name| name.eq_ignore_ascii_case(domain));
        self.domains.iter().all(is_named)
    }

    fn store_certificate(&self, text: &[u8]) -> io::Result<()> {
        match self.describe(text) {
            Ok(served) => {
                tracing::info!(certificate = %served, "certificate obtained");
                self.served.store(Some(Arc::new(served)));
            }
            Err(error) => tracing::warn!(%error, "the new certificate cannot be read"),
        }
        write(&self.certificate, text)
    }

    fn describe(&self, text: &[u8]) -> Result<ServedCertificate, TlsError> {
        let file = Pem::from(&self.certificate);
        let loaded = load(&file, text, &file, text, &self.provider)?;
        Ok(ServedCertificate { source: "ACME".to_owned(), ..loaded.served })
    }

    /// Files are read and written where a file system that hangs hangs nobody else.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let cache = self.clone();
        tokio::task::spawn_blocking(move || work(&cache)).await.map_err(io::Error::other)?
    }
}

#[async_trait]
impl CertCache for Cache {
    type EC = io::Error;

    async fn load_cert(&self, _: &[String], _: &str) -> io::Result<Option<Vec<u8>>> {
        self.aside(Self::load_certificate).await
    }

    async fn store_cert(&self, _: &[String], _: &str, text: &[u8]) -> io::Result<()> {
        let text = text.to_vec();
        self.aside(move |cache| cache.store_certificate(&text)).await
    }
}

#[async_trait]
impl AccountCache for Cache {
    type EA = io::Error;

    async fn load_account(&self, _: &[String], _: &str) -> io::Result<Option<Vec<u8>>> {
        self.aside(|cache| read(&cache.account)).await
    }

    async fn store_account(&self, _: &[String], _: &str, key: &[u8]) -> io::Result<()> {
        let key = key.to_vec();
        self.aside(move |cache| write(&cache.account, &key)).await
    }
}

/// Letters, digits, dots and dashes; everything else would have a meaning somewhere.
fn file_name(text: &str) -> String {
    let keep = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-');
    text.chars().map(|letter| if keep(letter) { letter } else { '_' }).collect()
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file whole or not at all: beside its place, and moved there when it is on the disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let beside = path.with_added_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    private(&mut options);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(unix)]
fn private(options: &mut std::fs::OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn private(_: &mut std::fs::OpenOptions) {}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTORY: &str = "https://ca.example:14000/dir?x=1";

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("trunkline-acme-{name}-{}", std::process::id())))
        }

        fn open(&self, domains: &[&str]) -> Cache {
            let domains: Vec<String> = domains.iter().map(|domain| (*domain).to_owned()).collect();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            Cache::open(self.0.join("deep"), &domains, DIRECTORY, provider).expect("a folder of our own")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Key first, as the ACME client writes it.
    fn certificate(domains: &[&str]) -> Vec<u8> {
        let names: Vec<String> = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        format!("{}\n{}", made.signing_key.serialize_pem(), made.cert.pem()).into_bytes()
    }

    #[tokio::test]
    async fn what_was_stored_is_found_by_the_next_process_and_described() {
        let folder = Folder::new("found");
        let cache = folder.open(&["a.example", "b.example"]);
        assert_eq!(cache.load_cert(&[], "").await.expect("readable"), None);
        assert_eq!(cache.load_account(&[], "").await.expect("readable"), None);
        assert!(cache.served().load().is_none());
        let text = certificate(&["a.example", "b.example"]);
        cache.store_cert(&[], "", &text).await.expect("stored");
        cache.store_account(&[], "", b"key").await.expect("stored");
        assert_eq!(cache.served().load().as_ref().expect("described").names, ["a.example", "b.example"]);

        let next = folder.open(&["a.example", "b.example"]);
        assert_eq!(next.load_cert(&[], "").await.expect("readable"), Some(text));
        assert_eq!(next.load_account(&[], "").await.expect("readable").as_deref(), Some(&b"key"[..]));
        assert_eq!(next.served().load().as_ref().expect("described").source, "ACME");
    }

    #[tokio::test]
    async fn a_certificate_for_other_domains_or_of_garbage_is_not_used() {
        let folder = Folder::new("other");
        folder.open(&["a.example"]).store_cert(&[], "", &certificate(&["a.example"])).await.expect("stored");
        assert_eq!(
            folder.open(&["a.example", "c.example"]).load_cert(&[], "").await.expect("readable"),
            None
        );
        assert_eq!(folder.open(&["c.example"]).load_cert(&[], "").await.expect("readable"), None);
        folder.open(&["a.example"]).store_cert(&[], "", b"garbage").await.expect("stored");
        assert_eq!(folder.open(&["a.example"]).load_cert(&[], "").await.expect("readable"), None);
    }

    #[tokio::test]
    async fn a_certificate_that_spells_its_domains_otherwise_is_used() {
        let folder = Folder::new("spelled");
        let text = certificate(&["A.Example", "b.example"]);
        folder.open(&["a.example"]).store_cert(&[], "", &text).await.expect("stored");
        let next = folder.open(&["a.example", "b.example"]);
        assert_eq!(next.load_cert(&[], "").await.expect("readable"), Some(text));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn keys_are_for_this_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new("private");
        let cache = folder.open(&["a.example"]);
        cache.store_account(&[], "", b"key").await.expect("stored");
        cache.store_cert(&[], "", &certificate(&["a.example"])).await.expect("stored");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&folder.0.join("deep")), 0o700);
        let mut files: Vec<_> =
            std::fs::read_dir(folder.0.join("deep")).expect("a folder").flatten().collect();
        files.sort_by_key(std::fs::DirEntry::file_name);
        let names: Vec<_> = files.iter().map(|file| file.file_name().into_string().expect("ASCII")).collect();
        assert_eq!(names, ["ca.example_14000_dir_x_1.a.example.pem", "ca.example_14000_dir_x_1.account"]);
        assert!(files.iter().all(|file| mode(&file.path()) == 0o600));
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_told_at_once() {
        let folder = Folder::new("unwritable");
        std::fs::write(&folder.0, "a file where the folder should be").expect("writable");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let error = Cache::open(folder.0.clone(), &["a.example".to_owned()], DIRECTORY, provider);
        let error = error.err().expect("no folder").to_string();
        assert!(error.starts_with(&format!("{}: cannot be written to: ", folder.0.display())), "{error}");
        std::fs::remove_file(&folder.0).expect("removable");
    }
}
