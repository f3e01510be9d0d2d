//! Tables of the fleet, as people see them.

use super::*;

/// Titles, which are shown with `-o wide` only, and the cells of each row.
async fn table(router: &Router, path: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let answer = ask(router, &format!("{BASE}/{path}"), &[("accept", TABLE)]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let table: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(table["kind"], "Table");
    let titles = table["columnDefinitions"].as_array().unwrap();
    let titles = titles.iter().map(|column| {
        let name = column["name"].as_str().unwrap();
        let wide = if column["priority"] == 0 {
            ""
        } else {
            " (wide)"
        };
        format!("{name}{wide}")
    });
    let text = |cell: &Value| {
        cell.as_str()
            .map_or_else(|| cell.to_string(), str::to_owned)
    };
    let rows = table["rows"].as_array().unwrap().iter();
    let rows = rows.map(|row| row["cells"].as_array().unwrap().iter().map(text).collect());
    (titles.collect(), rows.collect())
}

#[tokio::test]
async fn people_see_tables_with_ages() {
    let (cluster, _said) = cluster();
    let router = cluster.router();
    let lines = |rows: &[Vec<String>]| -> Vec<String> {
        rows.iter().map(|cells| cells.join(" | ")).collect()
    };
    let (titles, rows) = table(&router, "nodescrapes").await;
    assert_eq!(
        titles.join(" | "),
        concat!(
            "Name | State | Owner | Standby | Sample | Kubelet | Reason | ",
            "Resolution (wide) | Measures (wide) | Remedy (wide) | Failed (wide) | Message (wide)"
        )
    );
    assert_eq!(
        lines(&rows),
        [
            concat!(
                "n1 | served | scraper-1 | <none> | 2s | 0s | <none> | ",
                "15s | <unknown> | <none> | <none> | <none>"
            ),
            concat!(
                "n2 | served | scraper-2 | scraper-1 | 2s | 0s | <none> | ",
                "15s | <unknown> | <none> | <none> | <none>"
            ),
            concat!(
                "n3 | failing | scraper-2 | scraper-1 | <unknown> | <unknown> | tls | ",
                "15s | <unknown> | KubeletCertificate | 12s | x509: unknown authority"
            ),
        ]
    );
    let (_, rows) = table(&router, "scrapers").await;
    assert_eq!(
        lines(&rows)[1],
        "scraper-2 | <unknown> | <none> | 2 | 0 | 0 | 1 | 2s | 15s | 1 | 7-1"
    );
    let (_, rows) = table(&router, "metricsfrontends").await;
    assert_eq!(
        lines(&rows),
        ["frontend-0 | 0.1.0 | 2/3 | 1 | 2 | 2s | <unknown>"]
    );
    // Without rows there are columns.
    let (titles, rows) = table(&router, "nodescrapes?labelSelector=role%3Dz").await;
    assert_eq!((titles.len(), rows.len()), (12, 0));
}
