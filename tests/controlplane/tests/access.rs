//! Who may read what, through the aggregator.

use anyhow::Context as _;
use http::Request;
use jiff::ToSpan as _;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client, Config,
    api::DeleteParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use tributary_controlplane::{
    kubectl::Kubectl,
    objects::{grant, service_account},
    patience::eventually,
    rig::{self, Rig},
    token,
};
use tributary_runtime::clock::Clock;
use tributary_sim::{Ca, Credential};

use crate::with_pods;

#[test]
fn a_service_account_reads_what_its_role_allows_and_no_more() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "accounts").await?;
        let token = service_account(&rig.client, "accounts", "reader").await?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["get", "list"] },
        ]);
        grant(&rig.client, ("accounts", "reader"), rules).await?;
        let reader = rig.kubectl_as(&rig.plane.kubeconfig_of("reader", &token)?)?;

        let pods = reader
            .ok(&["top", "pods", "-n", "accounts", "--no-headers"])
            .await?;
        assert_eq!(pods.lines().count(), 2, "{pods}");
        let nodes = reader.run(&["top", "nodes"]).await?;
        assert_eq!(
            nodes.stderr,
            "Error from server (Forbidden): nodes.metrics.k8s.io is forbidden: User \
             \"system:serviceaccount:accounts:reader\" cannot list resource \"nodes\" in API group \
             \"metrics.k8s.io\" at the cluster scope\n"
        );
        let may = ["auth", "can-i", "list", "pods.metrics.k8s.io"];
        assert_eq!(reader.ok(&may).await?, "yes\n");
        let may = ["auth", "can-i", "list", "nodes.metrics.k8s.io"];
        assert_eq!(reader.run(&may).await?.stdout, "no\n");
        Ok(())
    })
}

#[test]
fn a_service_account_without_a_role_and_a_stranger_read_nothing() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "strangers").await?;
        let token = service_account(&rig.client, "strangers", "nobody").await?;
        let unauthorized = rig.kubectl_as(&rig.plane.kubeconfig_of("nobody", &token)?)?;
        let refused = unauthorized
            .run(&["top", "pods", "-n", "strangers"])
            .await?;
        assert_eq!(
            refused.stderr,
            "Error from server (Forbidden): pods.metrics.k8s.io is forbidden: User \
             \"system:serviceaccount:strangers:nobody\" cannot list resource \"pods\" in API group \
             \"metrics.k8s.io\" in the namespace \"strangers\"\n"
        );
        let stranger = rig.kubectl_as(&rig.plane.kubeconfig_of("stranger", "no-token")?)?;
        let refused = stranger.run(&["top", "nodes"]).await?;
        assert!(
            !refused.ok && refused.stderr.contains("must be logged in"),
            "{}",
            refused.stderr
        );
        Ok(())
    })
}

#[test]
fn an_administrator_may_look_with_the_eyes_of_another() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "eyes").await?;
        let admin = rig.kubectl()?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"] },
        ]);
        service_account(&rig.client, "eyes", "viewer").await?;
        grant(&rig.client, ("eyes", "viewer"), rules).await?;
        let top = ["top", "pods", "-n", "eyes", "--no-headers", "--as"];
        let viewer = "system:serviceaccount:eyes:viewer";
        let seen = admin.ok(&[&top[..], &[viewer]].concat()).await?;
        assert_eq!(seen.lines().count(), 2, "{seen}");
        let refused = admin.run(&[&top[..], &["jane"]].concat()).await?;
        let cause = "User \"jane\" cannot list resource \"pods\"";
        assert!(refused.stderr.contains(cause), "{}", refused.stderr);
        Ok(())
    })
}

/// Flags of kubectl that lead past kube-apiserver.
pub(crate) fn at_the_frontend(rig: &Rig) -> [String; 2] {
    let ca = rig.cluster.paths().bus_ca.display();
    [
        format!("--server=https://{}", rig.components.api),
        format!("--certificate-authority={ca}"),
    ]
}

#[test]
fn the_frontend_itself_asks_the_cluster_who_may_read() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "direct").await?;
        let [server, ca] = at_the_frontend(&rig);
        let path = "/apis/metrics.k8s.io/v1beta1/namespaces/direct/pods";
        let raw = [server.as_str(), &ca, "get", "--raw", path];

        let token = service_account(&rig.client, "direct", "reader").await?;
        let reader = rig.kubectl_as(&rig.plane.kubeconfig_of("direct-reader", &token)?)?;
        let refused = reader.run(&raw).await?;
        assert_eq!(
            refused.stderr,
            "Error from server (Forbidden): pods.metrics.k8s.io is forbidden: User \
             \"system:serviceaccount:direct:reader\" cannot list resource \"pods\" in API group \
             \"metrics.k8s.io\" in the namespace \"direct\"\n"
        );
        // A refusal is remembered for a while, so the one who may is somebody else.
        let token = service_account(&rig.client, "direct", "viewer").await?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["list"] },
        ]);
        grant(&rig.client, ("direct", "viewer"), rules).await?;
        let viewer = rig.kubectl_as(&rig.plane.kubeconfig_of("direct-viewer", &token)?)?;
        let list: serde_json::Value = serde_json::from_str(&viewer.ok(&raw).await?)?;
        assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");

        let stranger = rig.kubectl_as(&rig.plane.kubeconfig_of("direct-stranger", "no-token")?)?;
        let refused = stranger.run(&raw).await?;
        assert!(
            refused.stderr.contains("must be logged in"),
            "{}",
            refused.stderr
        );
        Ok(())
    })
}

/// A kubectl with a token of the service account `reader`, which expires `minutes` from now.
async fn reader_until(rig: &Rig, namespace: &str, minutes: i64) -> anyhow::Result<Kubectl> {
    let accounts = Api::<ServiceAccount>::namespaced(rig.client.clone(), namespace);
    let uid = accounts.get("reader").await?.metadata.uid;
    let account = (namespace, "reader", uid.as_deref().context("no uid")?);
    let now = Clock::system().now();
    let (from, until) = (
        now.checked_sub(1.hour())?,
        now.checked_add(minutes.minutes())?,
    );
    let token = token::sign(&rig.plane.token_signer()?, account, from, until)?;
    let kubeconfig = rig
        .plane
        .kubeconfig_of(&format!("{namespace}-{minutes}"), &token)?;
    rig.kubectl_as(&kubeconfig)
}

#[test]
fn a_token_past_its_time_is_nobodys() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "expired").await?;
        service_account(&rig.client, "expired", "reader").await?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list"] },
        ]);
        grant(&rig.client, ("expired", "reader"), rules).await?;
        let path = "/apis/metrics.k8s.io/v1/namespaces/expired/pods";
        let through = ["get", "--raw", path];
        let [server, ca] = at_the_frontend(&rig);
        let past = [&[server.as_str(), &ca], &through[..]].concat();

        // The same token, except its time; kube-apiserver forgives one minute.
        let good = reader_until(&rig, "expired", 5).await?;
        for command in [&through[..], &past] {
            let list: serde_json::Value = serde_json::from_str(&good.ok(command).await?)?;
            assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "{list}");
        }
        let may = ["auth", "can-i", "get"];
        for resource in ["pods.metrics.k8s.io", "nodes.metrics.k8s.io/node-00001"] {
            let answer = good.ok(&[&may[..], &[resource, "-q"]].concat()).await;
            assert!(answer.is_ok(), "{resource}: {answer:?}");
        }
        let expired = reader_until(&rig, "expired", -2).await?;
        for command in [&through[..], &past, &["top", "nodes"]] {
            let refused = expired.run(command).await?;
            assert!(
                !refused.ok && refused.stderr.contains("must be logged in"),
                "{refused:?}"
            );
        }
        Ok(())
    })
}

#[test]
fn a_token_dies_with_its_account() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "dismissed").await?;
        let token = service_account(&rig.client, "dismissed", "reader").await?;
        let rules = json!([
            { "apiGroups": ["metrics.k8s.io"], "resources": ["nodes"], "verbs": ["list"] },
        ]);
        grant(&rig.client, ("dismissed", "reader"), rules).await?;
        let reader = rig.kubectl_as(&rig.plane.kubeconfig_of("dismissed", &token)?)?;
        let [server, ca] = at_the_frontend(&rig);
        let past = [
            &server,
            &ca,
            "get",
            "--raw",
            "/apis/metrics.k8s.io/v1/nodes",
        ];
        reader.ok(&past).await?;

        let accounts = Api::<ServiceAccount>::namespaced(rig.client.clone(), "dismissed");
        accounts.delete("reader", &DeleteParams::default()).await?;
        // What was found out about a token is stored for some seconds.
        eventually("the token is refused", async || {
            let refused = reader.run(&past).await?;
            let unauthorized = refused.stderr.contains("must be logged in");
            anyhow::ensure!(unauthorized, "{refused:?}");
            Ok(())
        })
        .await
    })
}

/// A client with a certificate, past kube-apiserver.
async fn shows(rig: &Rig, who: &Credential) -> anyhow::Result<Client> {
    let pem = |text: &str| json!(k8s_openapi::ByteString(text.as_bytes().to_vec()));
    let ca = rig.cluster.pki().ca(Ca::Bus);
    let cluster = json!({
        "server": format!("https://{}", rig.components.api),
        "certificate-authority-data": pem(ca),
    });
    let user = json!({
        "client-certificate-data": pem(&who.certificate),
        "client-key-data": pem(&who.key),
    });
    let file: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{ "name": "frontend", "cluster": cluster }],
        "users": [{ "name": "caller", "user": user }],
        "contexts": [{ "name": "here", "context": { "cluster": "frontend", "user": "caller" } }],
        "current-context": "here",
    }))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

#[test]
fn only_the_front_proxy_that_the_cluster_names_speaks_for_others() -> anyhow::Result<()> {
    rig::share(async |rig| {
        with_pods(&rig, "proxies").await?;
        let (pki, other) = (rig.cluster.pki(), tributary_sim::Pki::new()?);
        let name = tributary_sim::FRONT_PROXY_NAME;
        for (what, credential, status) in [
            ("itself", pki.client(Ca::FrontProxy, name, &[])?, 200),
            (
                "another name",
                pki.client(Ca::FrontProxy, "somebody", &[])?,
                401,
            ),
            ("another CA", other.client(Ca::FrontProxy, name, &[])?, 401),
            ("the CA of users", pki.client(Ca::Cluster, name, &[])?, 403),
        ] {
            let client = shows(&rig, &credential).await?;
            let request = Request::get("/apis/metrics.k8s.io/v1/nodes")
                .header("X-Remote-User", "root")
                .header("X-Remote-Group", "system:masters");
            let answer = client.request_text(request.body(Vec::new())?).await;
            let got = match &answer {
                Ok(_) => 200,
                Err(kube::Error::Api(refused)) => refused.code,
                Err(_) => 0,
            };
            assert_eq!(got, status, "{what}: {answer:?}");
        }
        Ok(())
    })
}
