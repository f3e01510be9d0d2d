use std::fs;

use kube::{Client, client::AuthError, error::DiscoveryError};
use tempfile::TempDir;

use super::*;

/// What must not be shown, wherever it is.
const SECRET: &str = "s3cr3t";

/// A kubeconfig with this user. `{}` is the place of its fields.
fn file(user: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: c
clusters:
- name: c
  cluster: {{ server: \"https://127.0.0.1:6443\" }}
contexts:
- name: c
  context: {{ cluster: c, user: u }}
users:
- name: u
  user: {user}
"
    )
}

/// Why there is no client with a kubeconfig of this text. The name of the file is `kubeconfig`.
async fn refused(text: &str) -> String {
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("kubeconfig");
    fs::write(&path, text).unwrap();
    let said = match config(std::slice::from_ref(&path), None).await {
        Err(unusable) => unusable.to_string(),
        Ok(config) => match Client::try_from(config) {
            Err(error) => format!("{}: {}", path.display(), super::text(&error)),
            Ok(_) => panic!("{text} can be used"),
        },
    };
    assert!(!said.contains(SECRET), "{said}");
    let prefix = format!("{}: ", path.display());
    said.strip_prefix(&prefix).expect("the file").to_owned()
}

#[tokio::test]
async fn what_is_no_kubeconfig_is_said_by_place_and_not_quoted() {
    let hint = "(the text is not shown: it may have credentials)";
    for (text, place) in [
        // No YAML.
        (file("{ token: s3cr3t"), " at line 12, column 9"),
        (file("\"s3cr3t"), " at line 13, column 1"),
        ("s3cr3t: [".to_owned(), " at line 1, column 9"),
        ("a: b: s3cr3t".to_owned(), " at line 1, column "),
        // YAML, and something else than is expected there.
        (file("s3cr3t"), " at line 12, column 9"),
        (file("{ token: [s3cr3t] }"), " at line 12, column 18"),
        (file("{ token: { s3cr3t: 1 } }"), " at line 12, column 18"),
        (
            file("{ token: a, as-groups: s3cr3t }"),
            " at line 12, column 32",
        ),
        (file("{ exec: s3cr3t }"), " at line 12, column 17"),
        ("s3cr3t".to_owned(), " at line 1, column 1"),
    ] {
        let said = refused(&text).await;
        assert!(
            said.starts_with(&format!("not a kubeconfig{place}")),
            "{said}"
        );
        assert!(said.ends_with(hint), "{said}");
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_named_and_not_quoted() {
    let pem = "LS0tLS1CRUdJTiBzM2NyM3QKczNjcjN0Cg==";
    for (user, expected) in [
        (
            "{ client-certificate-data: \"s3cr3t!\", client-key-data: YQ== }".to_owned(),
            "client-certificate-data is not base64",
        ),
        (
            "{ client-certificate-data: YQ==, client-key-data: \"s3cr3t!\" }".to_owned(),
            "client-key-data is not base64",
        ),
        (
            "{ client-key-data: czNjcjN0 }".to_owned(),
            "no client-certificate, although there is its pair",
        ),
        (
            format!("{{ client-certificate-data: {pem}, client-key-data: {pem} }}"),
            "client-certificate or client-key is not PEM",
        ),
        (
            "{ token: \"s3cr3t\\nline\" }".to_owned(),
            "the token has a line break, or another character that a header cannot have",
        ),
        (
            "{ tokenFile: /nonexistent/token }".to_owned(),
            "tokenFile /nonexistent/token: No such file or directory (os error 2)",
        ),
        (
            "{ client-certificate: /nonexistent/a, client-key: /nonexistent/b }".to_owned(),
            "client-certificate /nonexistent/a: No such file or directory (os error 2)",
        ),
        (
            "{ exec: { command: echo, args: [\"s3cr3t: [\"] } }".to_owned(),
            "the credential plug-in wrote no credentials",
        ),
        (
            "{ exec: { command: sh, args: [-c, \"echo s3cr3t; exit 3\"] } }".to_owned(),
            "the credential plug-in ended with exit status: 3",
        ),
        (
            "{ exec: { command: /nonexistent/plug-in } }".to_owned(),
            "unable to run auth exec: No such file or directory (os error 2)",
        ),
    ] {
        assert_eq!(refused(&file(&user)).await, expected, "{user}");
    }
}

#[tokio::test]
async fn a_file_that_lacks_something_is_said_to_lack_it() {
    let whole = file("{ token: s3cr3t }");
    let ca = "server: \"https://127.0.0.1:6443\", certificate-authority-data";
    let with = |cluster: &str| whole.replace("server: \"https://127.0.0.1:6443\"", cluster);
    for (text, expected) in [
        (String::new(), "no current-context"),
        (
            whole.replace("current-context: c", ""),
            "no current-context",
        ),
        (
            whole.replace("current-context: c", "current-context: d"),
            "no context \"d\"",
        ),
        (
            whole.replace("cluster: c,", "cluster: d,"),
            "no cluster \"d\", which the context names",
        ),
        (with(""), "the cluster has no server"),
        (
            with("server: \"a b\""),
            "server is no URL: invalid uri character",
        ),
        (
            with("server: localhost"),
            "server has neither https:// nor http:// before the address",
        ),
        (
            with("server: \"127.0.0.1:6443\""),
            "server has neither https:// nor http:// before the address",
        ),
        (
            with("server: ftp://127.0.0.1"),
            "server has neither https:// nor http:// before the address",
        ),
        (
            with(&format!("{ca}: \"s3cr3t!\"")),
            "certificate-authority-data is not base64",
        ),
        (
            // With the ends of another block.
            with(&format!(
                "{ca}: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCnMzY3IzdAotLS0tLUVORCBzM2NyM3QtLS0tLQo="
            )),
            "certificate-authority has no certificate in PEM",
        ),
        (
            with("server: \"https://127.0.0.1:6443\", proxy-url: \"http://me:s3cr3t@proxy:3128\""),
            "the proxy http://proxy:3128 is not supported",
        ),
    ] {
        assert_eq!(refused(&text).await, expected, "{text}");
    }
}

#[tokio::test]
async fn what_an_earlier_file_says_counts_and_the_broken_one_is_named() {
    let dir = TempDir::new().unwrap();
    let [one, other, broken] = ["one", "other", "broken"].map(|name| dir.path().join(name));
    fs::write(&one, file("{ token: a }")).unwrap();
    fs::write(&other, file("{ token: b }").replace("6443", "7443")).unwrap();
    fs::write(&broken, "s3cr3t: [").unwrap();
    let files = [one.clone(), other];
    let merged = config(&files, Some("c")).await.unwrap();
    assert_eq!(merged.cluster_url, "https://127.0.0.1:6443/");
    let unusable = config(&[one.clone(), broken.clone()], None).await;
    let said = unusable.unwrap_err().to_string();
    let prefix = format!("{}: not a kubeconfig", broken.display());
    assert!(said.starts_with(&prefix), "{said}");
    let missing = config(&files, Some("d")).await.unwrap_err().to_string();
    let names = format!("{}, {}", one.display(), files[1].display());
    assert_eq!(missing, format!("{names}: no context \"d\""));
}

#[tokio::test]
async fn what_may_have_no_end_is_refused_and_not_read() {
    let dir = TempDir::new().unwrap();
    let [pipe, huge] = ["pipe", "huge"].map(|name| dir.path().join(name));
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let file = fs::File::create(&huge).unwrap();
    file.set_len((16 << 20) + 1).unwrap();
    let no_file = "a pipe or a device, and not a file: write its content to a file";
    for (path, why) in [
        (pipe, no_file),
        ("/dev/zero".into(), no_file),
        (huge, "has 16777217 bytes, and 16777216 is the limit"),
    ] {
        let unusable = config(std::slice::from_ref(&path), None).await.unwrap_err();
        assert_eq!(unusable.to_string(), format!("{}: {why}", path.display()));
    }
}

#[tokio::test]
async fn a_proxy_of_the_kubeconfig_is_known_from_one_of_the_environment() {
    let whole = file("{ token: a }");
    let server = "server: \"https://127.0.0.1:6443\"";
    let with = |more: &str| whole.replace(server, &format!("{server}, {more}"));
    for (text, context, expected) in [
        (whole.clone(), None, false),
        (with("proxy-url: \"http://proxy:3128\""), None, true),
        (with("proxy-url: \"http://proxy:3128\""), Some("c"), true),
        (with("proxy-url: \"http://proxy:3128\""), Some("d"), false),
        (with("proxy-url: \"\""), None, false),
    ] {
        let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(proxy::is_named(&kubeconfig, context), expected, "{text}");
    }
    // That of the kubeconfig counts also for a server that needs none by the rules of the environment.
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("kubeconfig");
    fs::write(&path, with("proxy-url: \"http://proxy:3128\"")).unwrap();
    let config = config(std::slice::from_ref(&path), None).await.unwrap();
    assert!(proxy(&config).unwrap().contains("http://proxy:3128"));
}

#[tokio::test]
async fn a_plug_in_for_credentials_has_a_name() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("kubeconfig");
    for (user, expected) in [
        ("{ token: a }", None),
        ("{ exec: { command: aws, args: [eks] } }", Some("aws")),
        (
            "{ auth-provider: { name: gcp, config: { cmd-path: gcloud } } }",
            Some("gcloud"),
        ),
    ] {
        fs::write(&path, file(user)).unwrap();
        let config = config(std::slice::from_ref(&path), None).await.unwrap();
        assert_eq!(plug_in(&config).as_deref(), expected, "{user}");
    }
}

#[test]
fn usual_files_that_are_not_there_are_left_out_unless_none_is() {
    let dir = TempDir::new().unwrap();
    let [one, gone] = ["one", "gone"].map(|name| dir.path().join(name));
    fs::write(&one, "").unwrap();
    assert_eq!(there(vec![gone.clone(), one.clone()]), [one]);
    assert_eq!(there(vec![gone.clone()]), [gone]);
}

/// An error that has its cause in its text, as many have.
#[derive(Debug)]
struct Quoting(&'static str, Option<Box<Self>>);

impl fmt::Display for Quoting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Quoting {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.1.as_deref()?)
    }
}

#[test]
fn each_cause_is_said_once() {
    let of = |texts: [&'static str; 3]| {
        let [first, second, third] = texts;
        let third = Quoting(third, None);
        let second = Quoting(second, Some(Box::new(third)));
        let first = Quoting(first, Some(Box::new(second)));
        text(&kube::Error::Service(Box::new(first)))
    };
    let refused = "tcp connect error: Connection refused";
    assert_eq!(of(["a", "b", "c"]), "a: b: c");
    assert_eq!(of(["a: b: c", "b: c", "c"]), "a: b: c");
    assert_eq!(
        of(["connect", refused, "Connection refused"]),
        "connect: tcp connect error: Connection refused"
    );
    assert_eq!(of(["c", "c", "c"]), "c");
}

#[test]
fn an_error_whose_text_is_not_known_is_only_named() {
    let of_plug_in = AuthError::AuthExec(SECRET.to_owned());
    let of_discovery = DiscoveryError::MissingKind(SECRET.to_owned());
    let of_file = KubeconfigError::LoadContext("c".to_owned());
    for (error, said) in [
        (
            kube::Error::Auth(AuthError::AuthExec(SECRET.to_owned())),
            "the credentials cannot be used (AuthExec)",
        ),
        (
            kube::Error::Service(Box::new(of_plug_in)),
            "the credentials cannot be used (AuthExec)",
        ),
        (
            kube::Error::Discovery(of_discovery),
            "the client failed (Discovery)",
        ),
        (kube::Error::Service(Box::new(of_file)), "no context \"c\""),
        (
            kube::Error::TlsRequired,
            "TLS required but no TLS stack selected",
        ),
    ] {
        assert_eq!(text(&error), said);
    }
}

#[test]
fn a_server_is_named_without_user_and_password() {
    let of = |url: &str| server(&url.parse().unwrap());
    assert_eq!(of("https://127.0.0.1:6443/"), "https://127.0.0.1:6443");
    assert_eq!(of("https://me:s3cr3t@[::1]:6443"), "https://[::1]:6443");
    assert_eq!(of("https://rancher/k8s/c-1/"), "https://rancher/k8s/c-1");
}
