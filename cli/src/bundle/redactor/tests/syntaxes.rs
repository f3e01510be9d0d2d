//! The same secrets in each syntax, and what is not one.

use serde_json::json;

use super::{super::Kind, redactor, text};

/// What must not be left.
const SECRET: &str = "hunter2";

/// Texts in which a name says that a value is a secret.
const NAMED: &[&str] = &[
    r#"{"name": "DB_PASSWORD", "value": "hunter2"}"#,
    r#"{"value":"hunter2","name":"DB_PASSWORD"}"#,
    r#"[{"key":"A","value":"b"},{"key":"apiToken","value":"hunter2"}]"#,
    r#"{"value":"hunter2","description":"x","key":"apiToken"}"#,
    r#""{\"name\":\"DB_PASSWORD\",\"value\":\"hunter2\"}""#,
    "- name: DB_PASSWORD\n  value: hunter2\n- name: A",
    "- value: hunter2\n  name: DB_PASSWORD\n- name: A",
    "- name: DB_PASSWORD\n  value: |\n    hunter2\n    x\n- name: A",
    "{\n  \"name\": \"DB_PASSWORD\",\n  \"value\": \"hunter2\"\n}",
    "{\n  \"value\": \"hunter2\",\n  \"name\": \"DB_PASSWORD\"\n}",
    "\"credentials\": {\n  \"user\": \"a\",\n  \"value\": \"hunter2\"\n}",
    "password = hunter2",
    "password=>hunter2",
    "password := hunter2",
    "password -> hunter2",
    "password: 'hunter2'",
    "password=`hunter2`",
    r"password\u003dhunter2",
    "password%3Dhunter2&x=1",
    "<password>hunter2</password>",
    r#"headers["Authorization"] = "hunter2""#,
    "map[Authorization:[Bearer hunter2] Host:[a]]",
    "password: |\n  hunter2\n",
    "  password: >-\n    a\n\n    hunter2\n  user: a",
    "password:\n  hunter2\nuser: a",
    "passwords:\n- hunter2\n- hunter2\nuser: a",
    "passwords:\n  - hunter2\nuser: a",
    "passwords: [\n  \"hunter2\",\n  \"hunter2\"\n]",
    "\"token\":\n  \"hunter2\",\n",
    "token = password = hunter2",
    "a token: password: hunter2",
    "API key: hunter2",
    "password=[]byte(\"hunter2\")",
    "password=String(\"hunter2\")",
    "password=b\"hunter2\"",
    r#"args: ["--password", "hunter2"]"#,
    "I1130 01:02:03.000000       1 main.go:12] \"Config\" token=\"hunter2\" x=1",
    "I1130 01:02:03.000000       1 main.go:12] token: a hunter2",
    "2026-11-30T00:00:00Z stdout F token: a hunter2",
    "2026-11-30T00:00:00Z password: |\n2026-11-30T00:00:00Z   hunter2\n",
    r#"{"auths":{"a.example":{"auth":"hunter2"}}}"#,
    "//registry.example/:_auth=hunter2",
    "?access_token=hunter2&x=1",
    "DB_CONNECTION_STRING=hunter2",
];

#[test]
fn what_has_the_name_of_a_secret_is_removed_in_every_syntax() {
    for named in NAMED {
        let clean = text(named);
        assert!(!clean.contains(SECRET), "{named}\n{clean}");
        assert!(clean.contains("<removed>"), "{named}\n{clean}");
    }
}

#[test]
fn what_follows_a_secret_stays() {
    for (line, clean) in [
        ("password=hunter2&x=1", "password=<removed>"),
        ("?token=hunter2&x=1", "?token=<removed>&x=1"),
        (
            r#"{"password":12345,"port":1}"#,
            r#"{"password":<removed>,"port":1}"#,
        ),
        ("password = 12345", "password = <removed>"),
        (
            r#"{"value":"hunter2","name":"DB_PASSWORD"}"#,
            r#"{"value":"<removed>","name":"DB_PASSWORD"}"#,
        ),
        (
            "  password: >-\n    a\n\n    hunter2\n  user: a",
            "  password: <removed>\n  user: a",
        ),
        (
            "passwords:\n- hunter2\n- b\nuser: a",
            "passwords:\n<removed>\nuser: a",
        ),
        (
            r#"{"auth": "dXNlcjpwYXNz", "email": "a"}"#,
            r#"{"auth": "<removed>", "email": "a"}"#,
        ),
        (
            "<token>hunter2</token><a>b</a>",
            "<token><removed></token><a>b</a>",
        ),
        (
            r#"token=\"hunter2\" user=\"a\""#,
            r#"token=\"<removed>\" user=\"a\""#,
        ),
    ] {
        assert_eq!(text(line), clean);
    }
}

/// Tokens, of which each begins as its issuer says.
const TOKENS: &[&str] = &[
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "gho_0123456789abcdefghijABCDEFGHIJ012345",
    "ghs_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_0123456789abcdefghijAB_0123456789abcdefghijABCDEFGHIJ",
    "glpat-0123456789abcdefghij",
    "xoxb-123456789012-1234567890123-abcdefghijklmnop",
    "xoxp-123456789012-1234567890123-abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "sk_live_0123456789abcdefghijABCD",
    "hvs.CAESI0123456789abcdefghij",
    "npm_0123456789abcdefghijABCDEFGHIJ012345",
    "dckr_pat_0123456789abcdefghijABCDEF",
    "ya29.a0123456789abcdefghijABCDEF",
    "SG.0123456789abcdefghij.ABCDEFGHIJ0123456789",
    "pypi-AgEIcHlwaS5vcmcCJ0123456789abcdefghij",
    "AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
    "$2a$10$N9qo8uLOickgx2ZMRZoM9eIjZAgcfl7p92ldGxad68LJZdL17lhWy",
    "$6$saltsalt$abcdefghijk",
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub",
    "Zk9qW2xR7tB4mN8vC1sD5fG0",
];

#[test]
fn tokens_are_known_without_a_name() {
    for token in TOKENS {
        for line in [
            format!("got {token} from a file"),
            format!("{{\"a\":\"{token}\"}}"),
            format!("a={token}"),
        ] {
            let clean = text(&line);
            for part in token.split(['/', '.']).filter(|part| part.len() > 8) {
                assert!(!clean.contains(part), "{line}\n{clean}");
            }
            assert!(clean.contains("<removed>"), "{line}\n{clean}");
        }
    }
}

#[test]
fn a_long_word_after_the_name_of_a_secret_is_removed() {
    let number = "9f86d081884c7d659a2feaa0c55ad015";
    assert_eq!(
        text(&format!("using token {number}")),
        "using token <removed>"
    );
    assert_eq!(text(&format!("token: {number} x")), "token: <removed>");
    let image = format!("digest sha256:{number}{number}");
    assert_eq!(text(&image), image);
}

#[test]
fn a_key_as_a_list_of_numbers_is_removed() {
    let numbers: Vec<String> = (0..32).map(|n| (n * 7 % 256).to_string()).collect();
    for list in [
        format!("key: [{}]", numbers.join(", ")),
        format!("key: [{}]", numbers.join(" ")),
        format!("key: [\n    {},\n]", numbers.join(",\n    ")),
    ] {
        let clean = text(&list);
        assert!(clean.starts_with("key: [<removed>"), "{clean}");
        assert!(!clean.contains("14"), "{clean}");
    }
    let few = "ports: [80, 443, 8080]";
    assert_eq!(text(few), few);
    let bytes = vec![7; 32];
    let clean = redactor().object(Kind::Ordinary, json!({ "key": bytes, "ports": [80, 443] }));
    assert_eq!(clean, json!({ "key": "<removed>", "ports": [80, 443] }));
}

#[test]
fn a_key_behind_what_logs_write_first_is_removed() {
    let key = [
        "-----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkq",
        "hkiG9w0B",
        "-----END PRIVATE KEY-----",
    ];
    for prefix in [
        "I1130 01:02:03.000000       1 main.go:12] ",
        "2026-11-30T00:00:00Z stderr F ",
        "[main] ",
    ] {
        let lines: Vec<String> = key.iter().map(|line| format!("{prefix}{line}")).collect();
        let clean = text(&format!("{}\n{prefix}started\n", lines.join("\n")));
        assert_eq!(clean, format!("{prefix}<removed>\n{prefix}started\n"));
    }
    // Without its end the key ends where lines are no longer parts of one.
    let log = format!("{}\n{}\nnode scraped in 3 ms\n", key[0], key[1]);
    assert_eq!(text(&log), "<removed>\nnode scraped in 3 ms\n");
}

#[test]
fn base64_is_known_with_escaped_letters() {
    let letters = "MIIEvQ+BADANBgkqhkiG9w/BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    for (plus, slash) in [("\\u002B", "\\u002F"), ("%2B", "%2F"), ("\\u002b", "\\/")] {
        let escaped = letters.replace('+', plus).replace('/', slash);
        assert_eq!(text(&format!("a \"{escaped}\"")), "a \"<removed>\"");
    }
}

#[test]
fn objects_with_a_name_and_a_value_lose_the_value() {
    let items = json!([
        { "name": "DB_PASSWORD", "value": "hunter2" },
        { "key": "apiToken", "value": 12345 },
        { "field": "secret", "stringValue": "hunter2" },
        { "header": "Authorization", "values": ["hunter2"] },
        { "name": "replicas", "value": 3 },
    ]);
    let object = json!({ "config": items, "pin": 1, "dbPassword": 12345, "credentials": { "value": "hunter2" } });
    let clean = redactor().object(Kind::Ordinary, object);
    assert_eq!(
        clean,
        json!({
            "config": [
                { "name": "DB_PASSWORD", "value": "<removed>" },
                { "key": "apiToken", "value": "<removed>" },
                { "field": "secret", "stringValue": "<removed>" },
                { "header": "Authorization", "values": "<removed>" },
                { "name": "replicas", "value": 3 },
            ],
            "pin": 1,
            "dbPassword": "<removed>",
            "credentials": { "value": "<removed>" },
        })
    );
}

/// What the reader of a bundle needs.
const HARMLESS: &[&str] = &[
    "uid 2f1c7c9e-6d0a-4a54-9a30-0f5f7f5b0c11 resourceVersion 184467",
    "tributary@sha256:9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015",
    "containerd://9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015",
    "machineID: 9f86d081884c7d659a2feaa0c55ad015",
    "pod tributary-apiserver-7d9f8b6c5d-x2x4q of tributary-system is ready",
    "cpu: 5715710624n, memory: 3283052100, 1500m, 128Mi, 10s",
    "2026-11-30T00:00:00.123456789Z scraped at 2026-11-30T00:00:00Z",
    "HorizontalPodAutoscalerV2Beta2 V1CustomResourceDefinitionList",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS13_AES_256_GCM_SHA384",
    "https://10.0.0.1:10250/metrics/resource http://[2001:db8::1]:10250/metrics",
    "secret \"tributary-serving\" not found",
    "INFO tributary_apiserver::auth::token: 3 of them are cached",
    "failed auth: x509: certificate signed by unknown authority",
    "npm_config_loglevel=warn pypi-mirror xoxo",
    "$HOME $1 ${NAME} $(date)",
    "-u 1000:",
    "authorization-mode=Webhook token-webhook-version=v1",
    "{\"name\":\"tributary-token\",\"kind\":\"Secret\",\"mountPath\":\"/run/token\"}",
    "- name: LOG_LEVEL\n  value: debug\n- name: A\n  value: b\n",
    "providerID: gce://project-1/europe-west1-b/gke-cluster-1-default-pool-0a1b2c3d-x1y2",
    "ranges [1, 2, 3] {4 5 6} map[a:1 b:2]",
    "{\"token\": null, \"secret\": false}",
    "serialNumber 4A:5B:6C:7D:8E:9F",
];

#[test]
fn what_readers_need_stays() {
    for line in HARMLESS {
        let mut redactor = redactor();
        assert_eq!(redactor.text(line), *line);
        assert_eq!(redactor.take_count(), 0, "{line}");
    }
    let node = json!({
        "metadata": {
            "name": "worker-1", "uid": "2f1c7c9e-6d0a-4a54-9a30-0f5f7f5b0c11",
            "resourceVersion": "184467", "creationTimestamp": "2026-11-30T00:00:00Z",
            "labels": { "kubernetes.io/hostname": "worker-1", "node.kubernetes.io/instance-type": "m5.large" },
            "annotations": { "node.alpha.kubernetes.io/ttl": "0" },
        },
        "spec": { "podCIDR": "10.0.0.0/24", "taints": [{ "key": "dedicated", "value": "gpu", "effect": "NoSchedule" }] },
        "status": {
            "capacity": { "cpu": "8", "memory": "32780124Ki", "pods": "110" },
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady" }],
            "nodeInfo": { "bootID": "0f5f7f5b-6d0a-4a54-9a30-2f1c7c9e0c11", "kubeletVersion": "v1.37.1",
                "containerRuntimeVersion": "containerd://2.1.0", "osImage": "Debian GNU/Linux 13" },
        },
    });
    let mut redactor = redactor();
    assert_eq!(redactor.object(Kind::Node, node.clone()), node);
    assert_eq!(redactor.take_count(), 0);
}
