//! Every secret here is invented.

mod limits;
mod syntaxes;

use serde_json::{Value, json};

use super::*;

const KEY: &str =
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nq1w2e3r4\n-----END RSA PRIVATE KEY-----";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----";
const JWT: &str =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJhdWQiOlsidHJpYnV0YXJ5LWJ1cyJdfQ.c2lnbmF0dXJlLXJlYWxseQ";

fn redactor() -> Redactor {
    Redactor::default()
}

fn text(text: &str) -> String {
    redactor().text(text).into_owned()
}

#[test]
fn lines_without_secrets_stay_as_they_are() {
    let mut redactor = redactor();
    for line in [
        "2026-11-30T00:00:00Z INFO tributary_scraper: node scraped node=worker-1 elapsed_ms=12",
        "failed to read /var/run/secrets/tributary/token: No such file or directory",
        "--bus-token-file=/var/run/secrets/tributary/token --frontend=k8s:///sys/tributary:bus",
        r#"{"level":"WARN","fields":{"message":"no bearer token","secretName":"tributary-serving"}}"#,
        "image registry.example/tributary@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "x509: certificate signed by unknown authority",
        "https://10.0.0.1:10250/metrics/resource answered 401",
        "tokenreviews_total=3 token_cache_size=10",
        "https://registry.example:5000/tributary@sha256:0123456789abcdef",
        "12 checks passed: 3 bypassed, compass=north",
        "azure:///subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/MC_rg1_cluster_eastus/providers/Microsoft.Compute/virtualMachineScaleSets/aks-pool1-12345678-vmss/virtualMachines/0",
        "started\n  Frontend1\n  ready\nnode-00001\nnode-00002\nScraper7\nListening8443\n",
        CERTIFICATE,
    ] {
        assert_eq!(redactor.text(line), line);
        assert_eq!(redactor.take_count(), 0, "{line}");
    }
}

/// Lines, and what is left of them.
const CASES: &[(&str, &str)] = &[
    (
        "Authorization: Bearer abc.def-123",
        "Authorization: <removed>",
    ),
    (
        r#""authorization": "Basic dXNlcjphYmNk", x"#,
        r#""authorization": "<removed>", x"#,
    ),
    (
        "with bearer 0123456789abcdef sent",
        "with bearer <removed> sent",
    ),
    (
        "Cookie: session=hunter2; a=b\nnext",
        "Cookie: <removed>\nnext",
    ),
    ("password=hunter2 user=a", "password=<removed> user=a"),
    (
        r#"{"db_password":"hunter2","user":"a"}"#,
        r#"{"db_password":"<removed>","user":"a"}"#,
    ),
    (
        r#""{\"token\":\"hunter2\",\"x\":1}""#,
        r#""{\"token\":\"<removed>\",\"x\":1}""#,
    ),
    (
        r#"Config { token: Some("hunter2"), port: 1 }"#,
        r#"Config { token: Some("<removed>"), port: 1 }"#,
    ),
    ("token: password: hunter2", "token: <removed>"),
    (
        "  client-key-data: aHVudGVyMg==",
        "  client-key-data: <removed>",
    ),
    ("passphrase: correct horse battery", "passphrase: <removed>"),
    (
        "secret: |\n  hunter2\n  hunter3\nuser: a",
        "secret: <removed>\nuser: a",
    ),
    (
        "--password hunter2 --user a",
        "--password <removed> --user a",
    ),
    ("--token=hunter2", "--token=<removed>"),
    ("apiKey => 'hunter2'", "apiKey => '<removed>'"),
    (
        "passwords = [\"hunter2\", \"hunter3\"]",
        "passwords = <removed>",
    ),
    ("password=\"hunter2 unfinished", "password=\"<removed>"),
    (
        "http://user:hunter2@proxy:3128/",
        "http://<removed>@proxy:3128/",
    ),
    (
        "kubeadm join --token abcdef.0123456789abcdef",
        "kubeadm join --token <removed>",
    ),
    ("found abcdef.0123456789abcdef", "found <removed>"),
    ("key AKIAIOSFODNN7EXAMPLE used", "key <removed> used"),
    (
        "?sv=1&sig=abcdefghijklmnop%2Fqrst&x=1",
        "?sv=1&sig=<removed>&x=1",
    ),
    ("root:$6$saltsalt$abcdefghijk:1", "root:<removed>"),
    ("DB_PASS=hunter2 user=a", "DB_PASS=<removed> user=a"),
    (
        r#"{"pass":"hunter2","user":"a"}"#,
        r#"{"pass":"<removed>","user":"a"}"#,
    ),
    ("mysqlpass: hunter2", "mysqlpass: <removed>"),
    (
        "passed=1,token=hunter2 failed=2",
        "passed=1,token=<removed> failed=2",
    ),
    (
        "token_count=3;bypass=x;password=hunter2",
        "token_count=3;bypass=x;password=<removed>",
    ),
    (
        "--password -hunter2 -v --user a",
        "--password <removed> -v --user a",
    ),
    ("--token=-hunter2", "--token=<removed>"),
    (
        "postgres://u:hun#ter2@db:5432/x",
        "postgres://<removed>@db:5432/x",
    ),
    ("amqp://u:hun?t@er2@mq/", "amqp://<removed>@mq/"),
    ("redis://:hun/ter2@r:6379", "redis://<removed>@r:6379"),
    (
        "curl -sS -u admin:hunter2 https://a",
        "curl -sS -u <removed> https://a",
    ),
    (
        "curl --user 'admin:hunter2' https://a",
        "curl --user '<removed>' https://a",
    ),
    (
        "curl -uadmin:hunter2 https://a",
        "curl -u<removed> https://a",
    ),
    (
        "dsn=app:hunt@er2@tcp(db:3306)/shop",
        "dsn=<removed>@tcp(db:3306)/shop",
    ),
    (
        r#"{"dsn":"app:hunter2@/shop"}"#,
        r#"{"dsn":"<removed>@/shop"}"#,
    ),
];

#[test]
fn secrets_in_lines_are_removed() {
    let mut redactor = redactor();
    let token = format!("got {JWT} from pod");
    let cases = [(&*token, "got <removed> from pod")];
    for (line, clean) in cases.iter().chain(CASES) {
        assert_eq!(redactor.text(line), *clean, "{line}");
        assert!(redactor.take_count() > 0, "{line}");
        assert_eq!(redactor.text(clean), *clean);
        assert_eq!(redactor.take_count(), 0, "{clean}");
    }
}

#[test]
fn private_keys_are_removed_and_certificates_are_not() {
    assert_eq!(text(&format!("a\n{KEY}\nb")), "a\n<removed>\nb");
    let escaped = KEY.replace('\n', "\\n");
    assert_eq!(text(&format!("\"{escaped}\"")), "\"<removed>\"");
    let lines = KEY
        .lines()
        .map(|line| format!("2026-11-30T00:00:00Z {line}\n"));
    let clean = text(&lines.collect::<String>());
    assert_eq!(clean, "2026-11-30T00:00:00Z <removed>\n");
    // Cut at either end.
    let (_, end) = KEY.split_once('\n').unwrap();
    assert_eq!(text(&format!("{end}\nb")), "<removed>\nb");
    let (begin, _) = KEY.rsplit_once('\n').unwrap();
    assert_eq!(text(&format!("a\n{begin}")), "a\n<removed>");
    assert_eq!(
        text(&format!("{CERTIFICATE}\n{KEY}")),
        format!("{CERTIFICATE}\n<removed>")
    );
}

#[test]
fn objects_keep_what_is_no_secret() {
    let pod = json!({
        "metadata": { "name": "tributary-a", "labels": { "app.kubernetes.io/name": "tributary" } },
        "spec": {
            "serviceAccountName": "tributary",
            "automountServiceAccountToken": false,
            "containers": [{ "name": "scraper", "args": ["--bus-token-file=/token", "--v=2", "--leader"],
                "env": [{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                        { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "db", "key": "password" } } },
                        { "name": "RUST_LOG", "value": "debug" }] }],
            "volumes": [{ "name": "token", "projected": { "sources": [
                { "serviceAccountToken": { "audience": "tributary-bus", "expirationSeconds": 3600, "path": "token" } }] } },
                { "name": "tls", "secret": { "secretName": "tributary-tls" } }],
        },
    });
    let mut redactor = redactor();
    assert_eq!(redactor.object(Kind::Ordinary, pod.clone()), pod);
    assert_eq!(redactor.take_count(), 0);
}

#[test]
fn of_pods_only_what_is_of_use_is_kept() {
    let pod = json!({
        "metadata": { "managedFields": [{ "manager": "x" }], "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": "{\"env\":\"hunter2\"}",
            "kapp.k14s.io/original": "{\"env\":\"hunter2\"}",
            "meta.helm.sh/release-name": "tributary",
        } },
        "spec": {
            "containers": [
                {
                    "name": "scraper",
                    "command": ["/usr/bin/tributary-scraper", "-c", "hunter2"],
                    "args": ["--password", "hunter2", "--token=hunter2", "--v=2", "-u", "a:hunter2", "--auth", "hunter2"],
                    "env": [
                        { "name": "ANYTHING", "value": "hunter2" },
                        { "name": "HTTP_PROXY", "value": "u:hunter2@p:1" },
                        { "name": "NO_PROXY", "value": "10.0.0.0/8" },
                    ],
                    "lifecycle": { "preStop": { "exec": { "command": ["curl", "-su", "hunter2"] } } },
                    "livenessProbe": {
                        "exec": { "command": ["hunter2"] },
                        "httpGet": { "path": "/livez", "httpHeaders": [{ "name": "X", "value": "hunter2" }] },
                        "periodSeconds": 10,
                    },
                },
                { "name": "proxy", "image": "proxy:1", "command": ["sh", "-c", "hunter2"], "args": ["--x=hunter2"] },
            ],
            "volumes": [{ "name": "v", "csi": { "volumeAttributes": { "a": "hunter2" } } }],
        },
        "tokens": ["hunter2", "hunter3"],
    });
    let clean = json!({
        "metadata": { "annotations": { "meta.helm.sh/release-name": "tributary" } },
        "spec": {
            "containers": [
                {
                    "name": "scraper",
                    "command": ["/usr/bin/tributary-scraper", "<removed>", "<removed>"],
                    "args": ["--password", "<removed>", "--token=<removed>", "--v=2", "<removed>", "<removed>", "--auth", "<removed>"],
                    "env": [
                        { "name": "ANYTHING", "value": "<removed>" },
                        { "name": "HTTP_PROXY", "value": "<removed>" },
                        { "name": "NO_PROXY", "value": "10.0.0.0/8" },
                    ],
                    "livenessProbe": { "httpGet": { "path": "/livez" }, "periodSeconds": 10 },
                },
                { "name": "proxy", "image": "proxy:1", "command": ["<removed>", "<removed>", "<removed>"], "args": ["<removed>"] },
            ],
            "volumes": [{ "name": "v" }],
        },
        "tokens": ["<removed>", "<removed>"],
    });
    assert_eq!(redactor().object(Kind::Ordinary, pod.clone()), clean);
    // The same of the template of a workload.
    let of = |pod: &Value| json!({ "spec": { "template": { "metadata": pod["metadata"], "spec": pod["spec"] } } });
    let mut template = of(&pod);
    template["spec"]["template"]["metadata"]["managedFields"] = Value::Null;
    let mut expected = of(&clean);
    expected["spec"]["template"]["metadata"]["managedFields"] = Value::Null;
    assert_eq!(redactor().object(Kind::Ordinary, template), expected);
}

#[test]
fn what_others_write_on_nodes_and_applications_is_left_out() {
    let annotated = |more: &str| {
        let mut object = json!({ "metadata": { "name": "n", "annotations": {
            "node.alpha.kubernetes.io/ttl": "0",
        } }, "status": { "images": [], "conditions": [] } });
        if !more.is_empty() {
            object["metadata"]["annotations"][more] = json!("x");
        }
        object
    };
    let node = redactor().object(Kind::Node, annotated("cloud.example/join"));
    let mut expected = annotated("");
    expected["status"] = json!({ "conditions": [] });
    assert_eq!(node, expected);
    let app = redactor().object(Kind::Application, annotated("x"));
    assert_eq!(app["metadata"]["annotations"], json!({}));
}

#[test]
fn a_config_map_has_names_and_sizes() {
    let map = json!({ "metadata": { "name": "m" }, "data": { "ca.crt": "abc" }, "binaryData": { "b": "YWI=" } });
    assert_eq!(
        redactor().object(Kind::ConfigMap, map),
        json!({ "metadata": { "name": "m" },
                "data": { "ca.crt": "3 bytes, not shown" },
                "binaryData": { "b": "4 bytes, not shown" } })
    );
}

#[test]
fn a_quote_without_an_end_hides_no_secret_of_another_line() {
    for line in [
        "tokenfile=\"abc\ntoken=\"SECRET\"",
        "pass_count=\"x\ntoken=\"SECRET one\"",
        "token=\"a\ntoken=\"SECRET\"",
    ] {
        let without = text(line);
        assert!(!without.contains("SECRET"), "{without}");
    }
}

#[test]
fn colours_hide_no_secret() {
    for line in [
        "\x1b[3mtoken\x1b[0m\x1b[2m=\x1b[0mSECRET",
        "\x1b[3mtoken\x1b[0m\x1b[2m=\x1b[0m\"SECRET\"",
        "\x1b[36mAuthorization:\x1b[0m SECRET",
        "https://u:\x1b[0mSECRET@h",
    ] {
        let without = text(line);
        assert!(!without.contains("SECRET"), "{without}");
    }
    assert_eq!(text("\x1b[32mready\x1b[0m"), "ready");
}
