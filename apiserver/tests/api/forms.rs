//! Tables and metadata alone (docs/parity.md#tables).

use axum::Router;

use crate::cluster::{Answer, Cluster, ask};

const COLUMNS: &str = concat!(
    r#""columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"Name of the resource","priority":0},"#,
    r#"{"name":"cpu","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"memory","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"Window","type":"string","format":"duration","description":"","priority":0}],"#
);

const SWAP_COLUMNS: &str = concat!(
    r#""columnDefinitions":[{"name":"Name","type":"string","format":"name","description":"Name of the resource","priority":0},"#,
    r#"{"name":"cpu","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"memory","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"swap","type":"string","format":"quantity","description":"","priority":0},"#,
    r#"{"name":"Window","type":"string","format":"duration","description":"","priority":0}],"#
);

const META: &str =
    r#""metadata":{"name":"n1","creationTimestamp":"2026-11-21T01:29:46Z","labels":{"role":"b"}}"#;

async fn as_kind(router: &Router, path: &str, kind: &str, version: &str) -> Answer {
    let accept = format!("application/json;as={kind};v={version};g=meta.k8s.io");
    ask(
        router,
        &format!("/apis/metrics.k8s.io/v1beta1/{path}"),
        &[("accept", &accept)],
    )
    .await
}

async fn table(path: &str) -> String {
    let answer = as_kind(&Cluster::small().router(), path, "Table", "v1").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.body.strip_suffix('\n').unwrap().to_owned()
}

#[tokio::test]
async fn a_table_has_a_row_per_object() {
    let one = format!(
        concat!(
            r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{}},{}"rows":["#,
            r#"{{"cells":["n1","250m","1578392Ki","12.5s"],"#,
            r#""object":{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",{}}}}}]}}"#
        ),
        COLUMNS, META
    );
    assert_eq!(table("nodes?labelSelector=role%3Db").await, one);
    assert_eq!(table("nodes/n1").await, one);
}

#[tokio::test]
async fn a_row_of_a_pod_adds_up_its_containers() {
    // 250m + 249999999n, 12533760 + 1000003.
    assert_eq!(
        table("namespaces/default/pods?fieldSelector=metadata.name%3Dweb-1&includeObject=None")
            .await,
        format!(
            concat!(
                r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{}},{}"rows":["#,
                r#"{{"cells":["web-1","499999999n","13533763","12.5s"],"object":null}}]}}"#
            ),
            COLUMNS
        )
    );
}

#[tokio::test]
async fn a_row_can_carry_the_whole_object() {
    assert_eq!(
        table("nodes/n1?includeObject=Object").await,
        format!(
            concat!(
                r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{}},{}"rows":["#,
                r#"{{"cells":["n1","250m","1578392Ki","12.5s"],"#,
                r#""object":{{"kind":"NodeMetrics","apiVersion":"metrics.k8s.io/v1beta1",{},"#,
                r#""timestamp":"2026-11-21T01:29:44Z","window":"12.5s","#,
                r#""usage":{{"cpu":"250m","memory":"1578392Ki"}}}}}}]}}"#
            ),
            COLUMNS, META
        )
    );
}

#[tokio::test]
async fn an_empty_table_has_neither_columns_nor_rows() {
    assert_eq!(
        table("nodes?labelSelector=none").await,
        r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{},"columnDefinitions":null,"rows":null}"#
    );
}

#[tokio::test]
async fn the_first_row_decides_whether_there_is_a_column_for_swap() {
    assert_eq!(
        table("pods?fieldSelector=metadata.namespace%3Dkube-system&includeObject=None").await,
        format!(
            concat!(
                r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{{}},{}"rows":["#,
                r#"{{"cells":["dns","250m","512Mi","4Ki","12.5s"],"object":null}}]}}"#
            ),
            SWAP_COLUMNS
        )
    );
    let without = table("pods?includeObject=None").await;
    assert!(
        without.contains(r#"{"cells":["dns","250m","512Mi","12.5s"],"object":null}"#),
        "{without}"
    );

    let cluster = Cluster::small();
    cluster.node("n0", &[]);
    cluster.report("n0", (3_125_000_000, 1024, Some(2048)), &[]);
    let with = as_kind(&cluster.router(), "nodes?includeObject=None", "Table", "v1")
        .await
        .body;
    assert!(
        with.ends_with(concat!(
            r#"{"cells":["n0","250m","1Ki","2Ki","12.5s"],"object":null},"#,
            r#"{"cells":["n1","250m","1578392Ki","\u003cunknown\u003e","12.5s"],"object":null},"#,
            r#"{"cells":["n2","1500m","1000000","0","12.5s"],"object":null}]}"#,
            "\n"
        )),
        "{with}"
    );
}

#[tokio::test]
async fn the_older_version_of_tables_is_served_too() {
    let answer = as_kind(&Cluster::small().router(), "nodes/n1", "Table", "v1beta1").await;
    assert_eq!(
        answer.body,
        format!(
            concat!(
                r#"{{"kind":"Table","apiVersion":"meta.k8s.io/v1beta1","metadata":{{}},{}"rows":["#,
                r#"{{"cells":["n1","250m","1578392Ki","12.5s"],"#,
                r#""object":{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1",{}}}}}]}}"#,
                "\n"
            ),
            COLUMNS, META
        )
    );
}

#[tokio::test]
async fn metadata_alone_is_served() {
    let router = Cluster::small().router();
    let item =
        format!(r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1",{META}}}"#);
    let one = as_kind(&router, "nodes/n1", "PartialObjectMetadata", "v1").await;
    assert_eq!(one.body, format!("{item}\n"));
    let path = "nodes?labelSelector=role%3Db";
    let list = as_kind(&router, path, "PartialObjectMetadataList", "v1").await;
    assert_eq!(
        list.body,
        format!(
            "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\
             \"metadata\":{{}},\"items\":[{item}]}}\n"
        )
    );
}
