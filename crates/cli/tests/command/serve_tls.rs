//! `trunkline serve` with certificates: by flags and by file, read again on SIGHUP, checked before anybody comes.

use rcgen::{CertificateParams, KeyPair};

use crate::support::{Folder, KEY, Running, finish, trunkline};

/// A folder with `cert.pem` and `key.pem` for localhost. The certificate is its own authority.
fn certificate() -> Folder {
    let (certificate, key) = issue();
    let folder = Folder::with("cert.pem", &certificate);
    std::fs::write(folder.path().join("key.pem"), key).expect("a file in it");
    folder
}

fn issue() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn command(folder: &Folder, args: &[&str]) -> std::process::Command {
    let mut command = trunkline(args);
    command.current_dir(folder.path()).env("TRUNKLINE_API_KEY", KEY);
    command
}

fn serve(folder: &Folder) -> (Running, u16) {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--cert", "cert.pem", "--key", "key.pem"];
    Running::server(command(folder, &flags))
}

/// A ticket through the API, trusting this file.
fn ticket(folder: &Folder, port: u16, ca: &str) -> crate::support::Finished {
    let api = format!("https://localhost:{port}");
    finish(command(folder, &["ticket", "--user", "ann", "--api", &api, "--ca", ca]), "")
}

#[test]
fn two_flags_are_all_it_takes_and_the_urls_that_it_prints_say_https() {
    let folder = certificate();
    let (server, port) = serve(&folder);
    let url = format!("https://127.0.0.1:{port}");
    assert_eq!(server.out.lines(2, |_| true)[0], format!("listening on {url}"));
    let demo = server.out.line(|line| line.contains("demo page"));
    assert!(demo.ends_with(&format!("{url}/")), "{demo}");

    let minted = ticket(&folder, port, "cert.pem");
    assert_eq!(minted.code, Some(0), "{}", minted.err);
    let url = format!("wss://localhost:{port}/connect");
    let ticket = minted.out.trim_end();
    let args = ["connect", &url, "--ticket", ticket, "--ca", "cert.pem"];
    let done = finish(command(&folder, &args), "{\"id\":1,\"ping\":{}}\n");
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.out.lines().any(|line| line.starts_with("{\"id\":1,\"ok\":")), "{}", done.out);
}

#[test]
fn a_bench_goes_the_same_ways_as_connect_does() {
    let folder = certificate();
    let (_server, port) = serve(&folder);
    let url = format!("wss://localhost:{port}/connect");
    let hub = ["bench", &url, "--channel", "room:bench", "--messages", "10", "--size", "1000", "--json"];
    let way = ["--ca", "cert.pem", "--http2", "--deflate"];
    let done = finish(command(&folder, &[&hub[..], &way].concat()), "");
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{}", done.out);
    let result: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(result["deliveries"]["received"], 10, "{}", done.out);
    let mistrusted = finish(command(&folder, &hub), "");
    assert_eq!((mistrusted.code, mistrusted.out.as_str()), (Some(1), ""), "{}", mistrusted.err);
}

#[cfg(unix)]
#[test]
fn sighup_reads_the_certificates_again_and_keeps_the_old_ones_if_the_new_are_no_good() {
    let folder = certificate();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    let (server, port) = serve(&folder);
    std::fs::copy(folder.path().join("cert.pem"), folder.path().join("old.pem")).expect("a copy");

    let (certificate, key) = issue();
    write("cert.pem", &certificate);
    write("key.pem", &key);
    server.signal("HUP");
    server.err.line(|line| line.contains("certificates were read again"));
    let refused = ticket(&folder, port, "old.pem");
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    let minted = ticket(&folder, port, "cert.pem");
    assert_eq!(minted.code, Some(0), "{}", minted.err);

    write("key.pem", "nothing\n");
    server.signal("HUP");
    let told = server.err.line(|line| line.contains("stay as they are"));
    assert!(told.contains("key.pem"), "{told}");
    assert_eq!(ticket(&folder, port, "cert.pem").code, Some(0));
    server.signal("TERM");
    assert_eq!(server.wait().code, Some(0));
}

#[test]
fn off_loopback_plaintext_is_refused_with_both_remedies() {
    let done = finish(trunkline(&["serve", "--listen", "0.0.0.0:0"]), "");
    assert_eq!(done.code, Some(2), "{}", done.err);
    for remedy in ["--cert and --key", "listen.tls = \"offloaded\""] {
        assert!(done.err.contains(remedy), "{remedy}: {}", done.err);
    }
}

#[test]
fn a_certificate_comes_with_its_key() {
    let done = finish(trunkline(&["serve", "--cert", "cert.pem"]), "");
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("--key"), "{}", done.err);
}

#[test]
fn check_opens_the_files_and_names_the_line_that_names_them() {
    let folder = certificate();
    let toml = "[tls]\ncert = [\"cert.pem\", \"gone.pem\"]\nkey = [\"key.pem\", \"key.pem\"]\n";
    std::fs::write(folder.path().join("trunkline.toml"), toml).expect("a file in it");
    let done = finish(command(&folder, &["check"]), "");
    assert_eq!(done.code, Some(1), "{}", done.out);
    assert_eq!(done.out.lines().count(), 1, "{}", done.out);
    assert!(done.out.starts_with("trunkline.toml:2: tls.cert: gone.pem: cannot be read"), "{}", done.out);
}
