//! Nodes that fail, each in a way of its own, at once: samples expire slowly.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::json;
use tributary_controlplane::{
    objects::{apply, set_status},
    rig::{self, Rig, Size},
};
use tributary_sim::Fault;

use super::Doctor;

const TEN: Size = Size {
    nodes: 10,
    ..Size::SMALL
};

/// Makes one node fail in each way, and returns which finding each is.
async fn break_nodes(rig: &Rig) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let nodes = rig.cluster.nodes();
    let mut made = BTreeMap::new();
    let faults = [
        (Fault::Refuse, "KubeletUnreachable"),
        (Fault::Hang, "KubeletTimeout"),
        (Fault::WrongCertificate, "KubeletCertificate"),
        (Fault::Status(403), "KubeletAccess"),
        (Fault::Status(500), "KubeletAnswer"),
        (Fault::Html, "KubeletPage"),
        (Fault::HugeBody(5 << 20), "KubeletPageSize"),
        (Fault::ClockOff(30_000), "ClockAhead"),
    ];
    let mut free = nodes.into_iter();
    for (fault, code) in faults {
        let node = free.next().context("a node")?;
        rig.cluster.set_fault(&node, fault).await?;
        made.insert(code, node);
    }
    let node = free.next().context("a node")?;
    let page = rig.cluster.kubelet_page(&node).context("a page")?;
    let same = Fault::Page(page.into_bytes().into());
    rig.cluster.set_fault(&node, same).await?;
    made.insert("KubeletStale", node);
    let node = free.next().context("a node")?;
    let addresses = json!([{ "type": "InternalDNS", "address": "node.internal" }]);
    let object = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": node },
        "status": { "addresses": addresses },
    });
    set_status(&rig.client, &object).await?;
    made.insert("NodeAddress", node);
    Ok(made)
}

/// A request that nobody approves.
async fn request_certificate(rig: &Rig) -> anyhow::Result<()> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(vec!["node.internal".to_owned()])?;
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "system:node:node-00001");
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:nodes");
    let pem = params.serialize_request(&key)?.pem()?;
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": { "name": "csr-of-a-node" },
        "spec": {
            "request": k8s_openapi::ByteString(pem.into_bytes()),
            "signerName": "kubernetes.io/kubelet-serving",
            "usages": ["digital signature", "server auth"],
        },
    });
    apply(&rig.client, &object).await
}

#[test]
fn each_way_in_which_a_node_fails_is_a_code() -> anyhow::Result<()> {
    rig::alone(TEN, async |rig| {
        let doctor = Doctor::of(&rig).await?;
        doctor.finds(&[]).await?;
        request_certificate(&rig).await?;
        let made = break_nodes(&rig).await?;
        let mut names: Vec<&str> = made.keys().copied().collect();
        names.push("KubeletCsrPending");
        names.sort_by_key(|name| tributary_cli::catalogue::Code::find(name));
        let report = doctor.finds(&names).await?;
        for (name, node) in &made {
            let mut all = report.findings.iter();
            let finding = all.find(|finding| finding.code.trouble().name == *name);
            assert_eq!(
                finding.context("a finding")?.what,
                format!("1 node: {node}"),
                "{name}"
            );
        }
        for node in rig.cluster.nodes() {
            rig.cluster.set_fault(&node, Fault::None).await?;
        }
        Ok(())
    })
}
