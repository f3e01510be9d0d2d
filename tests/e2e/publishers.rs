//! Credentials of the bus are replaced while samples flow.

use std::{fs, path::Path};

use tributary_e2e::{patience::eventually, stack::Stack};
use tributary_sim::{Ca, Credential, Pki};

use super::{all_served, scraped_again, steady};

const SCRAPERS: usize = 2;
const FRONTENDS: usize = 2;

/// The number of streams that each scraper has ever begun.
async fn begun(stack: &Stack) -> Vec<u64> {
    let mut begun = Vec::new();
    for index in 0..SCRAPERS {
        let hello = r#"tributary_bus_messages_sent_total{kind="hello"}"#;
        begun.push(stack.of_scraper(index, hello).await);
    }
    begun
}

/// Checks that every scraper is connected to every frontend.
async fn assert_connected(stack: &Stack) {
    for index in 0..SCRAPERS {
        let connected = stack
            .of_scraper(index, "tributary_bus_frontends_connected")
            .await;
        assert_eq!(connected, 2, "scraper {index}");
    }
}

/// Waits until every scraper has begun this many streams, and each frontend has one stream of each scraper again.
/// Checks the connections meanwhile.
async fn followed(stack: &Stack, streams: u64) {
    eventually(|| async {
        assert_connected(stack).await;
        let begun = begun(stack).await;
        if begun.iter().all(|count| *count >= streams) {
            Ok(())
        } else {
            Err(format!("{begun:?} of {streams}"))
        }
    })
    .await;
    for front in 0..FRONTENDS {
        eventually(|| async {
            assert_connected(stack).await;
            match stack
                .front(front)
                .ok("/metrics")
                .await?
                .metric("tributary_bus_streams")
            {
                Some(2) => Ok(()),
                other => Err(format!("{other:?} streams")),
            }
        })
        .await;
    }
}

/// Checks that every answer of a kubelet reached both frontends, except those in flight and those that a newer one
/// replaced.
async fn nothing_is_lost(stack: &Stack, nodes: u64) {
    for front in 0..FRONTENDS {
        eventually(|| async {
            let mut answers = 0;
            for index in 0..SCRAPERS {
                let ok = "tributary_scrape_outcomes_total{outcome=\"ok\"}";
                answers += stack.of_scraper(index, ok).await;
            }
            let metrics = stack.front(front).ok("/metrics").await?;
            let of = |outcome: &str| {
                let name = format!("tributary_bus_readings_total{{outcome=\"{outcome}\"}}");
                metrics.metric(&name).unwrap_or_default()
            };
            let mut made_way = 0;
            for index in 0..SCRAPERS {
                let replaced = "tributary_bus_readings_replaced_total";
                made_way += stack.of_scraper(index, replaced).await;
            }
            let taken = of("first") + of("newer");
            println!("frontend {front}: {answers} answers, {taken} readings, {made_way} made way");
            if taken + made_way + nodes >= answers {
                Ok(())
            } else {
                Err(format!("{taken} of {answers}"))
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_replaced_without_losing_a_reading() {
    let stack = Stack::with_tokens(steady(4, 2), SCRAPERS, FRONTENDS).await;
    all_served(&stack, &stack.front(0)).await;
    all_served(&stack, &stack.front(1)).await;
    followed(&stack, 2).await;
    let mut old = stack.first_token();
    for round in 1..=2 {
        let new = stack.renew_token();
        followed(&stack, 2 + 2 * round).await;
        stack.cluster.revoke(&old);
        old = new;
    }
    no_client_was_cut_off(&stack, 6).await;
    nothing_is_lost(&stack, 4).await;
    stack.stop().await;
}

/// Waits longer than it takes to cut off a publisher with an invalid credential.
async fn no_client_was_cut_off(stack: &Stack, streams: u64) {
    scraped_again(stack, "node-00001", 10).await;
    followed(stack, streams).await;
    assert_eq!(begun(stack).await, [streams; SCRAPERS]);
    for index in 0..SCRAPERS {
        let denied = "tributary_bus_streams_denied_total";
        assert_eq!(stack.of_scraper(index, denied).await, 0);
    }
}

fn write(pair: &Credential, certificate: &Path, key: &Path) {
    fs::write(key, &pair.key).unwrap();
    fs::write(certificate, &pair.certificate).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_their_cas_are_replaced_without_losing_a_reading() {
    let stack = Stack::with_certificates(steady(4, 2), SCRAPERS, FRONTENDS).await;
    all_served(&stack, &stack.front(0)).await;
    all_served(&stack, &stack.front(1)).await;
    followed(&stack, 2).await;
    let paths = stack.cluster.paths();
    let (old, new) = (stack.cluster.pki().ca(Ca::Bus), Pki::new().unwrap());
    let both = [old, new.ca(Ca::Bus)].concat();

    // The CAs that scrapers trust change, and so do their streams.
    fs::write(&paths.bus_ca, &both).unwrap();
    followed(&stack, 4).await;

    // First frontends trust both CAs, then the certificates change, then the old CA is removed.
    let publishers = stack.publishers_ca();
    fs::write(&publishers, &both).unwrap();
    // Scrapers retry with a certificate that frontends do not trust yet. Meanwhile the old streams go on.
    for index in 0..SCRAPERS {
        let pair = new
            .client(Ca::Bus, &format!("scraper-{index}"), &[])
            .unwrap();
        let file = |end: &str| paths.dir.join(format!("scraper-{index}.{end}"));
        write(&pair, &file("crt"), &file("key"));
    }
    eventually(|| async {
        assert_connected(&stack).await;
        for index in 0..SCRAPERS {
            let kind = r#"tributary_bus_messages_sent_total{kind="synced"}"#;
            let synced = stack.of_scraper(index, kind).await;
            if synced < 6 {
                return Err(format!("{synced} streams of scraper {index}"));
            }
        }
        Ok(())
    })
    .await;
    followed(&stack, 6).await;
    let before = begun(&stack).await;
    fs::write(&publishers, new.ca(Ca::Bus)).unwrap();
    // Frontends read the CA every ten seconds, and then check the certificates of open streams.
    scraped_again(&stack, "node-00001", 30).await;
    followed(&stack, 6).await;
    // Streams go on. One may begin again for another reason: a machine that pauses for seconds costs streams, but no
    // samples.
    for (now, before) in begun(&stack).await.iter().zip(&before) {
        assert!(
            now - before <= 1,
            "{now} streams were begun, {before} before"
        );
    }
    nothing_is_lost(&stack, 4).await;
    stack.stop().await;
}
