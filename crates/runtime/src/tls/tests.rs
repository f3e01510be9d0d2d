use std::path::Path;

use super::*;

fn write_pair(dir: &Path, stem: &str, name: &str) -> PairFiles {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let files = PairFiles {
        certificate: dir.join(format!("{stem}.crt")),
        key: dir.join(format!("{stem}.key")),
    };
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

#[test]
fn a_changed_pair_is_taken_over_whole() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_pair(dir.path(), "tls", "one.test");
    let serving = ServingCertificate::from_files(files.clone()).unwrap();
    assert!(!serving.look().unwrap());

    let before = serving.shown();
    std::fs::write(
        &files.key,
        rcgen::KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    assert!(matches!(serving.look(), Err(BadFile::Mismatch { .. })));
    assert_eq!(serving.shown().cert, before.cert);

    write_pair(dir.path(), "tls", "two.test");
    assert!(serving.look().unwrap());
    assert_ne!(serving.shown().cert, before.cert);
}

/// A pair that is valid until the first of January of a year.
fn write_pair_until(dir: &Path, stem: &str, year: i32) -> PairFiles {
    let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let files = PairFiles {
        certificate: dir.join(format!("{stem}.crt")),
        key: dir.join(format!("{stem}.key")),
    };
    let made = params.self_signed(&key).unwrap();
    std::fs::write(&files.certificate, made.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

#[test]
fn it_expires_with_the_first_that_is_shown_and_a_new_one_counts_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let own = write_pair_until(dir.path(), "own", 2032);
    let other = write_pair_until(dir.path(), "other", 2030);
    let serving = ServingCertificate::from_files(own).unwrap();
    // date -ud 2032-01-01 +%s
    assert_eq!(serving.expires(), Some(1_956_528_000));
    let serving = serving.with_named(vec![named(&other, "")]).unwrap();
    assert_eq!(serving.expires(), Some(1_893_456_000));

    write_pair_until(dir.path(), "other", 2031);
    assert_eq!(serving.expires(), Some(1_893_456_000));
    assert!(serving.look().unwrap());
    assert_eq!(serving.expires(), Some(1_924_992_000));
}

fn named(files: &PairFiles, names: &str) -> NamedPair {
    let (certificate, key) = (files.certificate.display(), files.key.display());
    format!("{certificate},{key}{names}").parse().unwrap()
}

#[test]
fn a_client_that_asks_for_a_name_gets_its_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let own = write_pair(dir.path(), "own", "own.test");
    let implicit = write_pair(dir.path(), "implicit", "b.test");
    let explicit = write_pair(dir.path(), "explicit", "x.test");
    let serving = ServingCertificate::from_files(own).unwrap();
    let pairs = vec![named(&implicit, ""), named(&explicit, ":b.test,*.a.test")];
    let serving = serving.with_named(pairs).unwrap();
    let chain = |files: &PairFiles| certificates(&files.certificate).unwrap();
    let shown = |name: &str| serving.named(name).map(|pair| pair.cert.clone());

    for name in ["b.test", "B.test.", "one.a.test"] {
        assert_eq!(shown(name), Some(chain(&explicit)), "{name}");
    }
    for name in ["a.test", "one.two.a.test", "own.test", "x.test"] {
        assert_eq!(shown(name), None, "{name}");
    }
    // A damaged pair does not affect the others.
    std::fs::write(&implicit.key, "broken").unwrap();
    write_pair(dir.path(), "explicit", "y.test");
    assert!(serving.look().is_err());
    assert_eq!(shown("b.test"), Some(chain(&explicit)));
}

#[test]
fn a_named_pair_is_two_files_and_names() {
    let pair: NamedPair = "a.crt, a.key:One.test,*.two.test".parse().unwrap();
    assert_eq!(pair.names, ["one.test", "*.two.test"]);
    assert_eq!(pair.files.key, Path::new("a.key"));
    let refusal = |text: &str| text.parse::<NamedPair>().unwrap_err().to_string();
    assert_eq!(refusal("a,b:"), "empty names list is not allowed");
    assert_eq!(
        refusal("a:b"),
        "expected comma separated certificate and key file paths"
    );
}

#[test]
fn a_self_signed_pair_is_kept_and_used_again() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("certificates");
    let keep = || ServingCertificate::kept_in(&dir, ["localhost".to_owned()], []).unwrap();
    let first = keep().shown();
    assert_eq!(keep().shown().cert, first.cert);
    let mode = |name: &str| {
        let found = std::fs::metadata(dir.join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!(
        (mode("apiserver.crt"), mode("apiserver.key")),
        (0o644, 0o600)
    );
}

#[test]
fn a_bad_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.crt");
    let error = roots(&path).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}: No such file", path.display())),
        "{error}"
    );
    std::fs::write(&path, "hello").unwrap();
    assert_eq!(
        roots(&path).unwrap_err().to_string(),
        format!("{}: no certificate in it", path.display())
    );
}
