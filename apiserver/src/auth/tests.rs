//! Tests of the layer with a real Kubernetes client that talks to a scripted cluster.

mod certificates;
mod cluster;
mod floods;
mod golden;
mod reviews;
mod users;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use http::{Request, request::Parts};
use kube::Client;
use prometheus_client::registry::Registry;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use tributary_runtime::{
    clock::Clock,
    log_limiter::LogLimiter,
    serve::{ConnectionNotes, Peer},
};
use tributary_sim::{Ca, Pki};

use super::{
    Inner,
    access::{Access, Holds, OpenPaths},
    ask::Reviews,
    cache::Ttl,
    front_proxy::{FrontProxy, Headers},
    metrics::AuthMetrics,
    token::Tokens,
    trust::Trust,
    waiting::WaitingRoom,
    x509::Pool,
};
use crate::k8s::resource::examples::resources;

const TTL: Ttl = Ttl {
    fresh: Duration::from_secs(10),
    stale: Duration::from_mins(10),
    denies: false,
};

/// The layer over `client`, with these CAs.
fn layer(client: Client, trust: Trust) -> Inner {
    let metrics = AuthMetrics::register(&mut Registry::default());
    let tokens = Reviews::new(client.clone(), metrics.token_reviews.clone());
    let access = Reviews::new(client, metrics.access_reviews.clone());
    let holds = Holds {
        allowed: TTL,
        denied: TTL.fresh,
    };
    let waiting = WaitingRoom::new(metrics.waiting.clone());
    let stale_answers = (metrics.stale_tokens.clone(), metrics.stale_access.clone());
    Inner {
        trust: Arc::new(ArcSwap::from_pointee(trust)),
        tokens: Tokens::new(tokens, TTL, stale_answers.0, waiting.clone()),
        access: Access::new(access, holds, stale_answers.1, waiting),
        open: OpenPaths::new(&["/livez".to_owned()]).unwrap(),
        resources: resources(),
        clock: Clock::fixed("2026-11-21T01:50:00Z".parse().unwrap()),
        metrics,
        refusals: LogLimiter::default(),
    }
}

/// Both CAs of a cluster, and the name of its front proxy.
fn trust(pki: &Pki) -> Trust {
    let one = |name: &str| vec![name.to_owned()];
    let headers = Headers::new(
        &one("X-Remote-User"),
        &[],
        &one("X-Remote-Group"),
        &one("X-Remote-Extra-"),
    );
    Trust {
        generation: 1,
        clients: Some(Pool::from_pem(pki.ca(Ca::Cluster).as_bytes()).unwrap()),
        proxy: Some(FrontProxy {
            pool: Pool::from_pem(pki.ca(Ca::FrontProxy).as_bytes()).unwrap(),
            allowed_names: one("front-proxy-client"),
            headers: headers.unwrap(),
        }),
        pending: false,
    }
}

/// A connection whose peer shows a certificate of `ca` for `name`.
fn peer(pki: &Pki, ca: Ca, name: &str, groups: &[&str]) -> Peer {
    let credential = pki.client(ca, name, groups).unwrap();
    let certificate = CertificateDer::from_pem_slice(credential.certificate.as_bytes()).unwrap();
    connection(vec![certificate])
}

/// A connection whose peer shows no certificate.
fn stranger() -> Peer {
    connection(Vec::new())
}

fn connection(certificates: Vec<CertificateDer<'static>>) -> Peer {
    Peer {
        name: "test".into(),
        certificates: certificates.into(),
        uid: None,
        notes: ConnectionNotes::default(),
    }
}

/// The head of a GET on a connection.
fn get(peer: &Peer, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri).extension(peer.clone());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}
