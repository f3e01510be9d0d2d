//! No frontend answers: what the screen says first.

use crate::{
    api_services::{FLEET, METRICS, Registration},
    catalogue::Code,
    doctor::code_of,
    kube_api::Failure,
};

const NO_METRICS: &str = "no frontend answers: kubectl top and autoscalers have no metrics";

const NOT_ASKED: &str = "no frontend answers, and another server has the metrics";

/// That no frontend answers, with the code of the trouble; `failed` is why each list of the fleet cannot be read. `None` if
/// one does, if that is not known, and if there is no fleet. `endpoints` are those of the Service of the metrics.
pub(super) fn silence(
    failed: [Option<&Failure>; 3],
    services: Option<&[Registration]>,
    endpoints: Option<(usize, usize)>,
) -> Option<String> {
    let is_silent = |it: Option<&Failure>| matches!(it, Some(Failure::Unavailable(_)));
    if !failed.into_iter().all(is_silent) {
        return None;
    }
    let services = services?;
    let find = |name: &str| services.iter().find(|service| service.name == name);
    let (metrics, fleet) = (find(METRICS), find(FLEET));
    let is_another = |metrics: &Registration| {
        let differs = fleet.is_some_and(|fleet| metrics.service != fleet.service);
        differs && metrics.available != Some(false)
    };
    let is_down = |service: &&Registration| service.available == Some(false);
    let (what, down, endpoints) = if metrics.is_some_and(is_another) {
        (NOT_ASKED, fleet.filter(is_down), None)
    } else {
        (NO_METRICS, services.iter().find(is_down), endpoints)
    };
    let code = match (down, endpoints) {
        (_, Some((0, _))) => Code::ServiceWithoutEndpoints,
        (Some(service), _) => code_of(service),
        (None, _) => Code::NoRoute,
    };
    Some(format!("{what} ({})", code.trouble().code))
}
