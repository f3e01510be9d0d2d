//! No frontend answers: what the screen says first.

use crate::{api_services::Registration, catalogue::Code, doctor::code_of, kube_api::Failure};

const NO_FRONTEND: &str = "no frontend answers: kubectl top and autoscalers have no metrics";

/// That no frontend answers, with the code of the trouble; `failed` is why each list of the fleet cannot be read. `None` if one does, if that is not known, and if the server is
/// another one.
pub(super) fn silence(
    failed: [Option<&Failure>; 3],
    services: Option<&[Registration]>,
    endpoints: Option<(usize, usize)>,
) -> Option<String> {
    let is_silent = |it: Option<&Failure>| matches!(it, Some(Failure::Unavailable(_)));
    if !failed.into_iter().all(is_silent) {
        return None;
    }
    let mut services = services?.iter();
    let down = services.find(|service| service.available == Some(false));
    let code = match (down, endpoints) {
        (_, Some((0, _))) => Code::ServiceWithoutEndpoints,
        (Some(service), _) => code_of(service),
        (None, _) => Code::NoRoute,
    };
    Some(format!("{NO_FRONTEND} ({})", code.trouble().code))
}
