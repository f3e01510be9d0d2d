//! A Tributary that misbehaves, and a switch that is interrupted.

use super::*;

/// What a Tributary that misbehaves leads to: found before anything is changed, and, where that is not wanted, after.
pub(super) async fn goes_wrong(
    ground: &Ground,
    address: SocketAddr,
    (found_before, found_after): (&str, &str),
) -> anyhow::Result<()> {
    let right = ground.rig.components.api.port();
    ground.lead_fleet(address.port()).await?;
    // The aggregator notices the change soon, and the backend takes a moment to become what it is.
    let found = eventually("the comparison finds it", || async {
        let (code, lines) = ground.to(&wanted()).await;
        let found = lines.join("\n").contains(found_before);
        anyhow::ensure!(code == 1 && found, "{code}: {lines:?}");
        Ok(())
    })
    .await;
    ground.lead_fleet(right).await?;
    found?;
    ground.is_as_before().await?;

    let port = address.port();
    let skipping = To {
        compare: None,
        service: Some(format!("{NAMESPACE}/{OURS}:{port}")),
        ..wanted()
    };
    let (code, after) = ground.to(&skipping).await;
    assert_eq!(code, 1, "{after:?}");
    let after = after.join("\n");
    assert!(after.contains(found_after), "{after}");
    assert!(after.ends_with("gone back"), "{after}");
    ground.is_as_before().await
}

pub(super) async fn silent(ground: &Ground) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut running = JoinSet::new();
    running.spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    // The limit of the command or that of kube-apiserver is over first.
    let found = ("Tributary did not answer", ": going back");
    goes_wrong(ground, address, found).await
}

pub(super) async fn narrow(ground: &Ground) -> anyhow::Result<()> {
    let rig = &ground.rig;
    let only = "kubernetes.io/hostname=node-00001";
    let narrow = rig.components.narrow(&rig.client, &rig.cluster, only);
    let narrow = narrow.await?;
    let few =
        "Tributary serves 10.0 % of the nodes of kube-system/metrics-server, and 95 % are needed";
    let found = (few, "only 1 of 10 nodes: going back");
    // As soon as it serves anything.
    let outcome = goes_wrong(ground, narrow.api, found).await;
    narrow.stop().await?;
    outcome
}

pub(super) async fn interrupted(ground: &Ground) -> anyhow::Result<()> {
    let long = To {
        watch_for: Duration::from_mins(10),
        compare: None,
        ..wanted()
    };
    let changed = async {
        loop {
            if matches!(ground.leads().await, Ok(leads) if leads == [OURS, OURS]) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let (send, receive) = tokio::sync::oneshot::channel::<()>();
    let stop = Box::pin(async {
        drop(receive.await);
    });
    let interrupt = async {
        changed.await;
        drop(send);
    };
    let ((code, lines), ()) = tokio::join!(ground.to_until(&long, stop), interrupt);
    assert_eq!(code, 1, "{lines:?}");
    assert!(
        lines.contains(&"interrupted: going back".to_owned()),
        "{lines:?}"
    );
    ground.is_as_before().await
}
