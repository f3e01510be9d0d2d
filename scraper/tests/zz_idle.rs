#![allow(warnings)]
#![allow(clippy::all, clippy::pedantic)]
#[path = "kubelet/server.rs"]
mod server;
use server::*;
use std::{
    io::{BufRead, Write},
    sync::Arc,
    time::Duration,
};
use tributary_model::Timestamp;
use tributary_scraper::{kubelet::*, nodes::Target};
fn gz() -> Vec<u8> {
    let mut p = String::new();
    for f in [
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_start_time_seconds",
        "container_swap_usage_bytes",
    ] {
        for pod in 0..30 {
            p += &format!(
                "{f}{{container=\"main\",namespace=\"ns-{}\",pod=\"web-00042-{pod}-6b8f9c7d5-x2x7q\"}} 712.915453{} 1795229483291\n",
                pod % 7,
                pod
            );
        }
    }
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(p.as_bytes()).unwrap();
    let b = e.finish().unwrap();
    let mut a = format!(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        b.len()
    )
    .into_bytes();
    a.extend(b);
    a
}
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/status").unwrap();
    s.lines()
        .find(|l| l.starts_with("VmRSS"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
#[test]
fn idle() {
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if std::env::var("AS_SERVER").is_ok() {
        rt.block_on(async {
            let page = gz();
            let s = Server::tls(&["127.0.0.1"], move |_| Answer::Whole(page.clone())).await;
            println!("PORT {}", s.port);
            std::future::pending::<()>().await;
        });
    }
    let n = 1000;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "idle"])
        .env("AS_SERVER", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut r = std::io::BufReader::new(child.stdout.take().unwrap());
    let port: u16 = loop {
        let mut l = String::new();
        r.read_line(&mut l).unwrap();
        if let Some(i) = l.find("PORT ") {
            break l[i + 5..].trim().parse().unwrap();
        }
    };
    rt.block_on(async {
        let base = kube::Config::new("https://x".parse().unwrap());
        let mut base = base;
        base.auth_info.token = Some("t".repeat(1000).into());
        let client = Client::new(
            &Security {
                insecure_tls: true,
                ..Default::default()
            },
            &base,
            Duration::from_secs(10),
        )
        .unwrap();
        let mut ks: Vec<(Kubelet, Target)> = (0..n)
            .map(|i| {
                (
                    Kubelet::new(client.clone()),
                    Target {
                        node: format!("node-{i}").into(),
                        host: Ok("127.0.0.1".into()),
                        port,
                        path: http::uri::PathAndQuery::from_static("/metrics/resource"),
                        ready: true,
                    },
                )
            })
            .collect();
        { let (k, t) = &mut ks[0]; k.scrape(t, Timestamp::from_millis(1)) }
            .await
            .unwrap();
        let before = rss();
        for (k, t) in &mut ks {
            k.scrape(t, Timestamp::from_millis(1)).await.unwrap();
        }
        println!(
            "after first: {} KB/conn",
            (rss() - before) as f64 / n as f64
        );
        for round in 0..5 {
            let c = cpu();
            for (k, t) in &mut ks {
                k.scrape(t, Timestamp::from_millis(1)).await.unwrap();
            }
            println!(
                "after {round}: {} KB/conn, {} us cpu/scrape",
                (rss() - before) as f64 / n as f64,
                (cpu() - c) * 1e6 / n as f64
            );
        }
    });
    child.kill().unwrap();
}
