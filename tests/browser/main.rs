//! The page of `kubectl tributary ui` in a real Chromium.
//!
//! Pictures in light and dark are written to `target/tmp/browser`.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a failed step is a failed test, and figures are printed"
)]

mod chromium;
mod large;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tributary_cli::{
    args::Common,
    kube_api::KubeApi,
    ui::{Page, Server},
};
use tributary_e2e::stack::Stack;
use tributary_sim::{Cluster, Fault, NodeSpec};

use self::{
    chromium::Chromium,
    large::{HOSTILE, Large, NODES, ONE_IN, SCRAPERS},
};

const SIZE: (u32, u32) = (1440, 900);

/// Serves the page as a task, and returns its address.
async fn serve(kubeconfig: PathBuf, interval: Duration, tasks: &mut JoinSet<()>) -> String {
    let api = KubeApi::connect(&Common::of(kubeconfig)).await.unwrap();
    let page = Page {
        port: 0,
        interval,
        namespace: None,
    };
    let server = Server::bind(api, page).await.unwrap();
    let address = server.address().to_owned();
    tasks.spawn(server.run(std::future::pending()));
    address
}

/// Pictures in light and dark.
async fn pictures(browser: &mut Chromium, name: &str) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&directory).unwrap();
    for scheme in ["dark", "light"] {
        browser.scheme(scheme).await;
        // It draws again with the next frame.
        browser
            .value(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
            )
            .await;
        let path = directory.join(format!("{name}-{scheme}.png"));
        browser.picture(&path).await;
        println!("{}", path.display());
    }
}

/// Waits until a text is in an element.
async fn shows(browser: &mut Chromium, selector: &str, text: &str) {
    let expression = format!(
        "document.querySelector({selector:?}).innerText.replace(/\\s+/g, ' ').includes({text:?})"
    );
    browser.until(&expression).await;
}

const NODE: &str = "node-of-test";

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_fleet_lives_and_sees_a_scraper_that_is_killed() {
    let cluster = Cluster::builder().nodes(20).pods_per_node(2);
    let mut stack = Stack::unhurried(cluster, 3, 1).await;
    let mut tasks = JoinSet::new();
    let kubeconfig = stack.cluster.paths().kubeconfig.clone();
    let address = serve(kubeconfig, Duration::from_secs(2), &mut tasks).await;
    let mut browser = Chromium::start(SIZE).await;
    browser.open(&address).await;
    shows(&mut browser, "#figures", "nodes with metrics 20 / 20").await;
    let token = browser.value("location.search + document.cookie").await;
    assert_eq!(token, "", "the token is hidden");

    // The layout: three groups, who scrapes what, nothing that has to be scrolled sideways.
    let groups =
        "[...document.querySelectorAll('.group .name')].map((it) => it.textContent).join()";
    assert_eq!(browser.value(groups).await, "scraper-0,scraper-1,scraper-2");
    let owned = "[...document.querySelectorAll('#side tbody tr')].map((it) => Number(it.cells[1].textContent)).reduce((sum, it) => sum + it)";
    assert_eq!(browser.value(owned).await, 20);
    let is_wide = "document.documentElement.scrollWidth > innerWidth";
    assert_eq!(browser.value(is_wide).await, false);
    pictures(&mut browser, "fleet-20").await;

    // It lives: a node that fails from its beginning appears.
    stack.cluster.add_node(NodeSpec::new(NODE)).await.unwrap();
    stack
        .cluster
        .set_fault(NODE, Fault::Status(500))
        .await
        .unwrap();
    shows(&mut browser, "#side", "1 node failing").await;
    shows(&mut browser, "#figures", "20 / 21").await;

    // The story of a node, by mouse and by keyboard.
    browser.click("#side button.node").await;
    shows(&mut browser, "#side", &format!("{NODE} failing")).await;
    shows(&mut browser, "#side dl", "why").await;
    browser.press("Escape").await;
    shows(&mut browser, "#side", "Who scrapes what").await;
    browser
        .value("document.getElementById('picture').focus()")
        .await;
    for key in ["Home", "ArrowRight", "Enter"] {
        browser.press(key).await;
    }
    shows(&mut browser, "#side dl", "samples").await;
    pictures(&mut browser, "story").await;
    browser.press("Escape").await;

    browser.press("2").await;
    shows(&mut browser, "#top", "Pods 25 of 40").await;
    pictures(&mut browser, "top").await;
    browser.press("3").await;
    shows(&mut browser, "#doctor", "checks made").await;
    pictures(&mut browser, "doctor").await;
    browser.press("1").await;

    // Its connections are closed, as by the kernel. The next read of the page sees that, long before a sample is late.
    let killed = Instant::now();
    stack.kill_scraper(1).await;
    let is_seen = "(() => { const of = [...document.querySelectorAll('.group')].find((it) => \
        it.innerText.includes('scraper-1')); return of.innerText.includes('disconnected'); })()";
    browser.until(is_seen).await;
    let seen = killed.elapsed();
    println!("the killed scraper was seen after {seen:.1?}");
    assert!(seen < stack.resolution(), "{seen:?}");
    shows(&mut browser, "#side", "✕ disconnected").await;
    pictures(&mut browser, "killed").await;
    assert_eq!(browser.complaints, [""; 0]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_nodes_are_there_at_once_and_an_api_that_fails_is_said() {
    let mut tasks = JoinSet::new();
    let large = Large::start(&mut tasks).await;
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = large.kubeconfig(directory.path());
    let address = serve(kubeconfig, Duration::from_secs(1), &mut tasks).await;
    let mut browser = Chromium::start(SIZE).await;
    browser.open(&address).await;
    let with_metrics = NODES - NODES / ONE_IN;
    assert_eq!((with_metrics, SCRAPERS), (4_980, 8));
    shows(&mut browser, "#figures", "4,980 / 5,000").await;
    let took = "performance.getEntriesByName('fleet-shown')[0].duration";
    let took = browser.value(took).await.as_f64().unwrap();
    println!("the first picture was there {took:.0} ms after the data");
    assert!(took < 2_000.0, "{took}");
    let groups = "document.querySelectorAll('.group canvas').length";
    assert_eq!(browser.value(groups).await, 8);
    let is_scrolled = "(() => { const it = document.getElementById('picture'); return it.scrollHeight > it.clientHeight; })()";
    assert_eq!(browser.value(is_scrolled).await, false, "all at once");
    shows(&mut browser, "#legend", "overdue 20").await;
    pictures(&mut browser, "fleet-5000").await;

    // Texts stay texts.
    shows(&mut browser, "#side", HOSTILE).await;
    assert_eq!(browser.value("document.title").await, "Tributary");
    let images = "document.querySelectorAll('img').length";
    assert_eq!(browser.value(images).await, 1);

    // What was read stays, with its age, until the API answers again.
    large.set_down(true);
    shows(&mut browser, "#banner", "Stale: this is what was read").await;
    shows(&mut browser, "#banner", "failed to read").await;
    shows(&mut browser, "#live", "stale").await;
    pictures(&mut browser, "stale").await;
    large.set_down(false);
    browser
        .until("document.getElementById('banner').hidden")
        .await;
    assert_eq!(browser.complaints, [""; 0]);

    // The program ends: the page says so.
    tasks.shutdown().await;
    shows(&mut browser, "#banner", "it has ended").await;
}
