//! What starts in plaintext and what does not, and every way in which certificates are no good.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{CertificateParams, KeyPair};

use crate::config::{Config, Problems, Tls};

/// Off loopback, and with all that is required there but TLS.
const OUTSIDE: &str =
    "api.key = \"sixteen-letters!\"\nsession.key = \"{KEY}\"\nlisten.address = \"0.0.0.0:443\"\n";

fn outside(more: &str) -> Vec<String> {
    problems(&format!("{}{more}", OUTSIDE.replace("{KEY}", &"ab".repeat(32))))
}

fn problems(toml: &str) -> Vec<String> {
    told(Config::parse("trunkline.toml", toml))
}

fn told(config: Result<Config, Problems>) -> Vec<String> {
    config.err().into_iter().flatten().map(|problem| problem.to_string()).collect()
}

/// A folder with files, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let name = format!("trunkline-check-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for this test");
        Folder(folder)
    }

    /// `<name>.pem` and `<name>.key`, which fit together.
    fn issue(&self, name: &str) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["a.example".to_owned()]).expect("a name");
        self.write(&format!("{name}.pem"), &params.self_signed(&key).expect("a certificate").pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).expect("a file in the folder");
    }

    /// Names of files in quotes, as TOML.
    fn list(&self, files: &[&str]) -> String {
        let quoted: Vec<String> = files.iter().map(|file| format!("{:?}", self.0.join(file))).collect();
        format!("[{}]", quoted.join(", "))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn off_loopback_plaintext_names_the_listener_the_rule_and_both_remedies() {
    let found = outside("");
    assert_eq!(found.len(), 1, "{found:#?}");
    for part in [
        "trunkline.toml:3: listen.address: 0.0.0.0:443",
        "plaintext is refused",
        "--cert and --key",
        "listen.tls = \"offloaded\"",
    ] {
        assert!(found[0].contains(part), "{part}: {}", found[0]);
    }
    let api = problems("[listen.api]\naddress = \"192.0.2.1:81\"");
    assert!(api[0].contains("listen.api.tls = \"offloaded\""), "{api:#?}");
}

#[test]
fn something_in_front_is_said_for_one_listener_or_for_all() {
    assert_eq!(outside("listen.tls = \"offloaded\"\nlisten.trusted = \"10.0.0.1\""), [""; 0]);
    assert_eq!(
        outside("tls = \"offloaded\"\nlisten.trusted = \"10.0.0.1\"\nlisten.api.address = \"192.0.2.1:81\""),
        [""; 0]
    );
    let doors_alone = outside(
        "listen.tls = \"offloaded\"\nlisten.trusted = \"10.0.0.1\"\nlisten.api.address = \"192.0.2.1:81\"",
    );
    assert_eq!(doors_alone.len(), 1, "the API's own listener is another one: {doors_alone:#?}");
    let another = problems("tls = \"somehow\"");
    assert_eq!(another, ["trunkline.toml:1: tls: expected \"offloaded\""]);
}

#[test]
fn unix_sockets_and_loopback_need_no_tls() {
    let toml =
        "[listen]\naddress = [\"127.0.0.1:1\", \"[::1]:1\"]\nunix = \"/a\"\n[listen.api]\nunix = \"/b\"";
    assert_eq!(problems(toml), [""; 0]);
    assert_eq!(problems("listen.tls = false"), [""; 0]);
}

#[test]
fn with_certificates_tls_is_on_wherever_a_listener_does_not_say_otherwise() {
    let folder = Folder::new();
    folder.issue("a");
    let files = format!("[tls]\ncert = {}\nkey = {}\n", folder.list(&["a.pem"]), folder.list(&["a.key"]));
    assert_eq!(outside(&files), [""; 0]);
    let config = Config::parse("t", &files).expect("no problems");
    assert_eq!((config.tls_of(None), config.tls_of(Some(Tls::Off))), (Tls::On, Tls::Off));
    let api = format!("[listen.api]\naddress = \"127.0.0.1:1\"\ntls = \"off\"\n{files}");
    assert_eq!(outside(&api), [""; 0], "plaintext on loopback beside it");
    let off = outside(&format!("listen.tls = \"off\"\n{files}"));
    assert_eq!(off.len(), 2, "plaintext off loopback, and certificates that nobody uses: {off:#?}");
}

#[test]
fn contradictions_are_told() {
    let folder = Folder::new();
    for (toml, begins) in [
        ("listen.tls = \"on\"", "trunkline.toml:1: listen.tls: \"on\" needs a certificate"),
        ("[tls]\ncert = \"a.pem\"", "trunkline.toml:2: tls.cert: certificates: 1, keys: 0"),
        ("[tls]\nkey = \"a.key\"", "trunkline.toml:2: tls.cert: certificates: 0, keys: 1"),
        ("[tls]\ncert = [\"a\", \"b\"]\nkey = \"a\"", "trunkline.toml:2: tls.cert: certificates: 2, keys: 1"),
        ("[tls]\nclient = \"required\"", "trunkline.toml:2: tls.client: needs tls.client_ca"),
        (
            "[tls]\nclient = \"required\"\nclient_ca = \"ca.pem\"",
            "trunkline.toml:2: tls.client: there is no tls.cert",
        ),
        ("[tls]\nclient_ca = \"ca.pem\"", "trunkline.toml:2: tls.client_ca: of no use"),
        ("[tls.acme]\ndomains = \"a.example\"", "trunkline.toml:2: tls.acme.cache: required"),
        ("[tls.acme]\ncache = \"c\"", "trunkline.toml:2: tls.acme.domains: required with"),
        (
            "[tls]\ncert = \"a\"\nkey = \"a\"\n[tls.acme]\ndomains = \"a.example\"\ncache = \"c\"",
            "trunkline.toml:5: tls.acme.domains: certificates come from files or by ACME",
        ),
        (
            "[listen]\naddress = []\nunix = \"/a\"\n[tls]\ncert = \"a\"\nkey = \"a\"",
            "trunkline.toml:5: tls.cert: no TCP listener",
        ),
    ] {
        let found = problems(toml);
        assert_eq!(found.len(), 1, "{toml}: {found:#?}");
        assert!(found[0].starts_with(begins), "{toml}: {found:#?}");
    }
    folder.write("t.toml", "[tls]\ncert = \"a\"\nkey = \"a\"");
    let variable = ("TRUNKLINE_TLS".to_owned(), "offloaded".to_owned());
    let both = told(Config::load(Some(&folder.0.join("t.toml")), [variable], []));
    assert_eq!(both.len(), 1, "{both:#?}");
    assert!(both[0].starts_with("environment TRUNKLINE_TLS: tls: offloaded, and certificates"), "{both:#?}");
}

#[test]
fn every_file_that_is_no_good_is_told_with_the_line_that_names_it() {
    let folder = Folder::new();
    folder.issue("good");
    folder.issue("other");
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    folder.write("empty.pem", "");
    let toml = format!(
        "[tls]\ncert = {}\nkey = {}\n",
        folder.list(&["missing.pem", "broken.pem", "good.pem", "good.pem", "good.pem"]),
        folder.list(&["good.key", "good.key", "other.key", "empty.pem", "good.key"]),
    );
    let found = problems(&toml);
    assert_eq!(found.len(), 4, "{found:#?}");
    for (problem, place, file) in [
        (&found[0], "trunkline.toml:2: tls.cert: ", "missing.pem: cannot be read"),
        (&found[1], "trunkline.toml:2: tls.cert: ", "broken.pem: line 1"),
        (&found[2], "trunkline.toml:3: tls.key: ", "other.key: does not belong"),
        (&found[3], "trunkline.toml:3: tls.key: ", "empty.pem: has no PEM section"),
    ] {
        assert!(problem.starts_with(place) && problem.contains(file), "{file}: {found:#?}");
    }
}

#[test]
fn a_client_ca_that_is_no_good_is_told_once_the_certificates_are() {
    let folder = Folder::new();
    folder.issue("a");
    folder.write("ca.pem", "nothing\n");
    let toml = format!(
        "[tls]\ncert = {}\nkey = {}\nclient = \"optional\"\nclient_ca = {:?}\n",
        folder.list(&["a.pem"]),
        folder.list(&["a.key"]),
        folder.0.join("ca.pem"),
    );
    let found = problems(&toml);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("trunkline.toml:5: tls.client_ca: "), "{found:#?}");
}

#[cfg(not(feature = "acme"))]
#[test]
fn a_build_without_acme_says_so() {
    let found = problems("[tls.acme]\ndomains = \"a.example\"\ncache = \"c\"");
    assert_eq!(
        found,
        ["trunkline.toml:2: tls.acme.domains: this trunkline was built without the feature acme"]
    );
}

#[cfg(feature = "acme")]
#[test]
fn certificates_by_acme_are_as_good_as_files() {
    let folder = Folder::new();
    let cache = folder.0.join("cache");
    let toml = |domain: &str| format!("[tls.acme]\ndomains = \"{domain}\"\ncache = {cache:?}\n");
    assert_eq!(outside(&toml("a.example")), [""; 0]);
    let found = problems(&toml("a b"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("trunkline.toml:2: tls.acme.domains: "), "{found:#?}");
}
