//! Asks for metrics through kube-apiserver, as autoscalers do, and looks who answers.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use super::{
    find,
    object::{Backend, Object, Version},
};
use crate::{
    compare::{Comparison, ENOUGH},
    fleet::Meta,
    kube_api::{Failure, KubeApi},
    usages::{self, Usages},
};

/// A request that takes longer counts as not answered.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The same of a question: lists of nodes and of pods, which may have several pages each. Without it a server that
/// always has one more page is never found out.
const QUESTION_WITHIN: Duration = Duration::from_secs(15);

/// How long kube-apiserver may take to ask the new server. One alone needs less than a second; of several, each sees the
/// change for itself.
const FIRST_WITHIN: Duration = Duration::from_secs(15);

/// How many answers in a row are good enough to go on with the next step.
const GOOD: usize = 3;

/// The pause between questions, at first and later.
const SOON: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(2);

/// Of how many rounds one asks for pods, too.
const PODS_EVERY: usize = 5;

/// What the new server has to serve at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Of these nodes, [`ENOUGH`] per cent.
    pub(super) nodes: usize,
    /// Of these pods, half: they come and go.
    pub(super) pods: usize,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Tributary, with enough nodes and pods.
    Tributary {
        /// How many nodes.
        nodes: usize,
    },
    /// Another server.
    Other {
        /// How many nodes.
        nodes: usize,
    },
    /// kube-apiserver does not know the version. It needs a moment after an APIService was created.
    Unknown(String),
    /// No server, or not with enough.
    Failed(String),
}

impl Answered {
    fn by(version: Version, failure: &Failure) -> Self {
        let text = format!("{}: {}", version.name(), failure.with_status());
        match failure {
            Failure::NotFound(_) => Self::Unknown(text),
            _ => Self::Failed(text),
        }
    }
}

/// An object with nothing but its name.
#[derive(Deserialize)]
struct Named {
    #[expect(dead_code, reason = "an object without a name is none")]
    metadata: Meta,
}

impl Expected {
    /// What the comparison saw.
    pub(super) fn by(comparison: &Comparison) -> Self {
        let nodes = comparison.nodes.as_ref().map(|nodes| nodes.last.incumbent);
        let pods = comparison.pods.as_ref().map(|pods| pods.last.both);
        Self {
            nodes: nodes.unwrap_or(0),
            pods: pods.unwrap_or(0),
        }
    }

    /// What the current server serves; if it does not answer, the nodes of the cluster.
    ///
    /// # Errors
    ///
    /// Neither can be read. Without a number to compare with, a server without nodes would be taken for one that works.
    pub(super) async fn read(api: &KubeApi) -> Result<Self, Failure> {
        let path = Version::V1beta1.resources();
        let [nodes, pods] = ["nodes", "pods"].map(|kind| format!("{path}/{kind}"));
        let served = async {
            let nodes = usages::read(api, &nodes).await.ok()?;
            let pods = usages::read(api, &pods).await.ok()?;
            Some((nodes.usages.len(), pods.usages.len()))
        };
        if let Ok(Some((nodes, pods))) = timeout(QUESTION_WITHIN, served).await {
            return Ok(Self { nodes, pods });
        }
        let nodes = api.list::<Named>("/api/v1/nodes").await?;
        Ok(Self {
            nodes: nodes.len(),
            pods: 0,
        })
    }

    fn lacks(self, nodes: usize, pods: Option<usize>) -> Option<String> {
        if nodes.saturating_mul(100) < self.nodes.saturating_mul(ENOUGH) {
            return Some(format!("only {nodes} of {} nodes", self.nodes));
        }
        let pods = pods.filter(|pods| pods.saturating_mul(2) < self.pods)?;
        Some(format!("only {pods} of {} pods", self.pods))
    }
}

/// Asks a version once.
pub(super) async fn ask(
    api: &KubeApi,
    version: Version,
    expected: Expected,
    with_pods: bool,
) -> Answered {
    let question = ask_patiently(api, version, expected, with_pods);
    let answered = timeout(QUESTION_WITHIN, question).await;
    answered.unwrap_or_else(|_| {
        let name = version.name();
        Answered::Failed(format!("{name}: no whole answer in {QUESTION_WITHIN:?}"))
    })
}

async fn ask_patiently(
    api: &KubeApi,
    version: Version,
    expected: Expected,
    with_pods: bool,
) -> Answered {
    let path = version.resources();
    let nodes = match usages::read(api, &format!("{path}/nodes")).await {
        Ok(nodes) => nodes,
        Err(failure) => return Answered::by(version, &failure),
    };
    let count = nodes.usages.len();
    if !nodes.from_tributary {
        return Answered::Other { nodes: count };
    }
    let mut pods: Option<Usages> = None;
    if with_pods {
        match usages::read(api, &format!("{path}/pods")).await {
            Ok(read) if read.from_tributary => pods = Some(read.usages),
            Ok(_) => return Answered::Other { nodes: count },
            Err(failure) => return Answered::by(version, &failure),
        }
    }
    match expected.lacks(count, pods.map(|pods| pods.len())) {
        Some(lack) => Answered::Failed(format!("{}: Tributary serves {lack}", version.name())),
        None => Answered::Tributary { nodes: count },
    }
}

/// The same; a failure counts if it comes twice in a row.
async fn ask_twice(
    api: &KubeApi,
    version: Version,
    expected: Expected,
    with_pods: bool,
) -> Answered {
    match ask(api, version, expected, with_pods).await {
        Answered::Failed(_) => ask(api, version, expected, with_pods).await,
        answered => answered,
    }
}

/// Waits until Tributary answers several times in a row.
///
/// # Errors
///
/// It does not; the text says what is there instead.
pub(super) async fn first_answers(
    api: &KubeApi,
    version: Version,
    backend: &Backend,
    expected: Expected,
) -> Result<(), String> {
    let deadline = Instant::now() + FIRST_WITHIN;
    let mut good = 0;
    loop {
        let mut unknown = None;
        // Pods once, when the rest is as it should be.
        match ask_twice(api, version, expected, good + 1 == GOOD).await {
            Answered::Tributary { .. } => good += 1,
            Answered::Other { .. } => good = 0,
            Answered::Unknown(why) => (good, unknown) = (0, Some(why)),
            Answered::Failed(why) => return Err(why),
        }
        if good == GOOD {
            return Ok(());
        }
        if Instant::now() > deadline {
            let elsewhere = led_elsewhere(api, version, backend).await;
            let instead = || unknown.unwrap_or_else(|| still_others(version));
            return Err(elsewhere.unwrap_or_else(instead));
        }
        sleep(SOON).await;
    }
}

fn still_others(version: Version) -> String {
    format!("{}: kube-apiserver asks another server", version.name())
}

/// Asks again and again for `length`, and until each version was answered. Returns how many answers there were.
///
/// # Errors
///
/// One was not as it should be; the text says what there was instead.
pub(super) async fn watch(
    api: &KubeApi,
    versions: &[Version],
    backend: &Backend,
    expected: Expected,
    length: Duration,
) -> Result<usize, String> {
    let start = Instant::now();
    let mut rounds = 0_usize;
    let mut answers = vec![0_usize; versions.len()];
    while start.elapsed() < length || answers.contains(&0) {
        rounds += 1;
        for (version, answers) in versions.iter().zip(&mut answers) {
            let with_pods = rounds.is_multiple_of(PODS_EVERY);
            let instead = match ask_twice(api, *version, expected, with_pods).await {
                Answered::Tributary { .. } => {
                    *answers += 1;
                    continue;
                }
                Answered::Other { .. } => {
                    if let Some(why) = led_elsewhere(api, *version, backend).await {
                        return Err(why);
                    }
                    still_others(*version)
                }
                Answered::Unknown(why) => why,
                Answered::Failed(why) => return Err(why),
            };
            // Another kube-apiserver, which does not know yet.
            if start.elapsed() > FIRST_WITHIN {
                return Err(instead);
            }
        }
        sleep(LATER).await;
    }
    Ok(answers.iter().sum())
}

/// Who has led a version elsewhere since, if that is so.
async fn led_elsewhere(api: &KubeApi, version: Version, backend: &Backend) -> Option<String> {
    let found = find::object(api, &version.path()).await.ok()?;
    let Some(found) = found else {
        return Some(format!("{} was deleted meanwhile", version.object()));
    };
    if found.service().as_ref() == Some(&backend.service) {
        return None;
    }
    let writer = last_writer(&found);
    Some(format!(
        "{writer} has led {} to {} meanwhile",
        version.object(),
        found.leads_to()
    ))
}

fn last_writer(object: &Object) -> String {
    let managers = object.managers();
    let last = managers.last().copied().unwrap_or("another writer");
    crate::printed::harmless(last)
}

/// Waits until another server than Tributary answers `v1beta1`, after it leads back there.
///
/// # Errors
///
/// None does.
pub(super) async fn others_answer(api: &KubeApi, length: Duration) -> Result<usize, String> {
    let start = Instant::now();
    let mut good = 0;
    loop {
        let mut why = "Tributary still answers".to_owned();
        match ask(api, Version::V1beta1, Expected::default(), false).await {
            Answered::Other { nodes } => {
                good += 1;
                if good == GOOD {
                    return Ok(nodes);
                }
            }
            Answered::Tributary { .. } => good = 0,
            Answered::Unknown(failure) | Answered::Failed(failure) => {
                good = 0;
                why = failure;
            }
        }
        if start.elapsed() > length {
            return Err(why);
        }
        sleep(SOON).await;
    }
}
