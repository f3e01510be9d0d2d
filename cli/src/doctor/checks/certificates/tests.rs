use super::*;

/// An `APIService` with CAs that end on these days of December 2026, at midnight.
fn registration(days: &[u8]) -> Registration {
    let ca = |day: &u8| {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2026, 12, *day);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().pem()
    };
    let bundle: String = days.iter().map(ca).collect();
    Registration {
        name: "v1beta1.metrics.k8s.io".to_owned(),
        ca_bundle: bundle.into_bytes(),
        ..Registration::default()
    }
}

fn what(days: &[u8]) -> Option<String> {
    let now: Timestamp = "2026-12-10T00:00:00Z".parse().unwrap();
    of_bundle(&registration(days), now).map(|finding| finding.what)
}

#[test]
fn the_ca_that_lasts_longest_counts() {
    assert_eq!(
        what(&[13]).unwrap(),
        "that of v1beta1.metrics.k8s.io expires in 3d"
    );
    assert_eq!(
        what(&[7]).unwrap(),
        "that of v1beta1.metrics.k8s.io expired 3d ago"
    );
    assert_eq!(what(&[7, 30]), None);
    assert_eq!(what(&[]), None);
}
