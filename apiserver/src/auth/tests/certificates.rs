//! CAs: where they come from, and what happens when they change.

use std::{path::Path, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use tributary_sim::{Ca, Pki};

use super::{
    super::{
        PENDING,
        answer::Denial,
        config_map::ConfigMap,
        front_proxy::Headers,
        trust::{Keeper, Settings, Trust},
        x509::{self, Pool, Subject},
    },
    cluster::golden,
    get, layer, peer, stranger, trust,
};

const NODE: &str = "/apis/metrics.k8s.io/v1beta1/nodes/n1";
const ALICE: &[(&str, &str)] = &[("X-Remote-User", "alice")];

fn settings() -> Settings {
    Settings {
        client_ca: None,
        proxy_ca: None,
        allowed_names: Vec::new(),
        headers: Headers::new(&["X-Remote-User".to_owned()], &[], &[], &[]).unwrap(),
        lookup: true,
        tolerate: false,
    }
}

fn map(pki: &Pki) -> ConfigMap {
    let data = [
        ("client-ca-file", pki.ca(Ca::Cluster)),
        ("requestheader-client-ca-file", pki.ca(Ca::FrontProxy)),
        ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
    ];
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    ConfigMap {
        data: data.map(own).into(),
    }
}

#[tokio::test]
async fn a_connection_is_checked_again_when_the_cas_change() {
    let (before, after) = (Pki::new().unwrap(), Pki::new().unwrap());
    let layer = layer(golden().0, trust(&before));
    let proxy = peer(&before, Ca::FrontProxy, "front-proxy-client", &[]);
    assert_eq!(layer.admit(&mut get(&proxy, NODE, ALICE)).await, Ok(()));
    let mut new = trust(&after);
    new.generation = 2;
    layer.trust.store(Arc::new(new));
    let answer = layer.admit(&mut get(&proxy, NODE, ALICE)).await;
    assert_eq!(answer, Err(Denial::Unauthorized));
    let proxy = peer(&after, Ca::FrontProxy, "front-proxy-client", &[]);
    assert_eq!(layer.admit(&mut get(&proxy, NODE, ALICE)).await, Ok(()));
}

#[tokio::test]
async fn one_ca_for_users_and_front_proxy_makes_no_front_proxy_of_any_name() {
    let pki = Pki::new().unwrap();
    for (proxy_ca, names, believed) in [
        (Ca::Cluster, "[]", false),
        (Ca::Cluster, r#"["front-proxy-client"]"#, true),
        (Ca::FrontProxy, "[]", true),
    ] {
        let mut keeper = Keeper::start(settings()).unwrap();
        let mut layer = layer(golden().0, Trust::default());
        layer.trust = keeper.current();
        let mut map = map(&pki);
        let data = &mut map.data;
        let key = |name: &str| name.to_owned();
        data.insert(key("requestheader-allowed-names"), names.to_owned());
        let both = format!("{}{}", pki.ca(Ca::FrontProxy), pki.ca(proxy_ca));
        data.insert(key("requestheader-client-ca-file"), both);
        keeper.take(&map);
        let proxy = peer(&pki, proxy_ca, "front-proxy-client", &[]);
        let bob = &[("X-Remote-User", "denied-bob")];
        let answer = layer.admit(&mut get(&proxy, NODE, bob)).await;
        let is_bob = matches!(&answer, Err(Denial::Forbidden { user, .. }) if user == "denied-bob");
        assert_eq!(is_bob, believed, "{names}: {answer:?}");
    }
}

#[tokio::test]
async fn before_the_cas_are_known_only_certificates_have_to_wait() {
    let pki = Pki::new().unwrap();
    let mut keeper = Keeper::start(settings()).unwrap();
    let mut layer = layer(golden().0, Trust::default());
    layer.trust = keeper.current();
    let proxy = peer(&pki, Ca::FrontProxy, "front-proxy-client", &[]);
    let answer = layer.admit(&mut get(&proxy, NODE, ALICE)).await;
    assert_eq!(answer, Err(Denial::Unavailable(PENDING)));
    let sam = [("Authorization", "Bearer ok:sam")];
    assert_eq!(layer.admit(&mut get(&stranger(), NODE, &sam)).await, Ok(()));
    keeper.take(&map(&pki));
    assert_eq!(layer.admit(&mut get(&proxy, NODE, ALICE)).await, Ok(()));
}

#[test]
fn a_lookup_that_may_fail_or_is_skipped_delays_no_start() {
    let pending = |settings| Keeper::start(settings).unwrap().current().load().pending;
    assert!(pending(settings()));
    assert!(!pending(Settings {
        tolerate: true,
        ..settings()
    }));
    assert!(!pending(Settings {
        lookup: false,
        ..settings()
    }));
}

#[test]
fn a_config_map_without_a_meaning_leaves_what_was_in_force() {
    let pki = Pki::new().unwrap();
    let mut keeper = Keeper::start(settings()).unwrap();
    keeper.take(&map(&pki));
    let generation = keeper.current().load().generation;
    for (key, value) in [
        ("client-ca-file", "not a certificate"),
        ("requestheader-allowed-names", "not a list"),
    ] {
        let mut broken = map(&pki);
        let data = &mut broken.data;
        data.insert(key.to_owned(), value.to_owned());
        keeper.take(&broken);
        let now = keeper.current().load_full();
        assert_eq!(now.generation, generation, "{key}");
        assert!(now.clients.is_some() && now.proxy.is_some(), "{key}");
    }
    keeper.take(&ConfigMap::default());
    let now = keeper.current().load_full();
    assert!(
        now.clients.is_none() && now.proxy.is_none(),
        "deleted is deleted"
    );
}

#[tokio::test]
async fn a_file_counts_instead_of_the_config_map_and_is_read_again() {
    let (before, after) = (Pki::new().unwrap(), Pki::new().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proxy-ca.crt");
    let write = |pki: &Pki| std::fs::write(&file, pki.ca(Ca::FrontProxy)).unwrap();
    write(&before);
    let mut keeper = Keeper::start(Settings {
        proxy_ca: Some(file.clone()),
        ..settings()
    })
    .unwrap();
    keeper.take(&map(&after));
    let mut layer = layer(golden().0, Trust::default());
    layer.trust = keeper.current();
    // Any name is accepted: the config map's list of names does not count with a CA file.
    let [old, new] = [&before, &after].map(|pki| peer(pki, Ca::FrontProxy, "any", &[]));
    let admitted = async |peer| layer.admit(&mut get(peer, NODE, ALICE)).await.is_ok();
    assert_eq!((admitted(&old).await, admitted(&new).await), (true, false));
    write(&after);
    keeper.look_again();
    assert_eq!((admitted(&old).await, admitted(&new).await), (false, true));
    std::fs::remove_file(&file).unwrap();
    keeper.look_again();
    assert!(admitted(&new).await, "what was in force stays");
}

#[test]
fn a_file_that_is_not_there_at_the_start_is_a_mistake() {
    let wrong = Keeper::start(Settings {
        client_ca: Some(Path::new("/nonexistent/ca.crt").to_owned()),
        ..settings()
    });
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "--client-ca-file: /nonexistent/ca.crt: No such file or directory (os error 2)"
    );
}

#[test]
fn every_organization_of_a_certificate_is_a_group() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "jane");
    name.push(DnType::OrganizationName, "dev");
    // rcgen keeps one value of each type. By its number, the same attribute counts as another type.
    name.push(DnType::CustomDnType(vec![2, 5, 4, 10]), "ops");
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    assert_eq!(
        Subject::of(certificate.der()).unwrap(),
        Subject {
            common_name: "jane".to_owned(),
            organizations: vec!["dev".to_owned(), "ops".to_owned()],
        }
    );
    let user = x509::user(certificate.der()).unwrap().unwrap();
    assert_eq!(user.groups, ["dev", "ops", "system:authenticated"]);
}

#[test]
fn a_certificate_without_a_name_is_no_user() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    assert_eq!(x509::user(certificate.der()), Ok(None));
}

/// A certificate, and one that its key has signed.
fn signed_by(is_ca: IsCa) -> (String, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = is_ca;
    params
        .distinguished_name
        .push(DnType::CommonName, "front-proxy-client");
    let given = params.self_signed(&key).unwrap().pem();
    let mut other = CertificateParams::new(Vec::new()).unwrap();
    other
        .distinguished_name
        .push(DnType::CommonName, "somebody");
    let issuer = Issuer::new(params, key);
    let other = other.signed_by(&KeyPair::generate().unwrap(), &issuer);
    (given, other.unwrap().der().clone())
}

#[test]
fn a_leaf_that_was_given_is_good_and_signs_for_no_other() {
    let now = UnixTime::since_unix_epoch(Duration::from_hours(500_000));
    for (is_ca, signs) in [
        (IsCa::NoCa, false),
        (IsCa::ExplicitNoCa, false),
        (IsCa::Ca(BasicConstraints::Unconstrained), true),
    ] {
        let (given, other) = signed_by(is_ca);
        let pool = Pool::from_pem(given.as_bytes()).unwrap();
        let own = CertificateDer::from_pem_slice(given.as_bytes()).unwrap();
        assert_eq!(pool.verify(&[own], now), Ok(()));
        let result = pool.verify(&[other], now);
        assert_eq!(result.is_ok(), signs, "{result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_proves_nothing_is_logged_now_and_then() {
    let (ours, other) = (Pki::new().unwrap(), Pki::new().unwrap());
    let layer = layer(golden().0, trust(&ours));
    let good = peer(&ours, Ca::FrontProxy, "front-proxy-client", &[]);
    assert_eq!(layer.admit(&mut get(&good, NODE, ALICE)).await, Ok(()));
    let bad = peer(&other, Ca::FrontProxy, "front-proxy-client", &[]);
    // A caller with a valid token is authenticated by the token.
    let sam = [("Authorization", "Bearer ok:sam")];
    assert_eq!(layer.admit(&mut get(&bad, NODE, &sam)).await, Ok(()));
    assert_eq!(layer.refusals.allow(), Some(0), "nothing was told");
    tokio::time::advance(Duration::from_secs(10)).await;
    for _ in 0..3 {
        let answer = layer.admit(&mut get(&bad, NODE, ALICE)).await;
        assert_eq!(answer, Err(Denial::Unauthorized));
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(layer.refusals.allow(), Some(2), "one line for three");
}
