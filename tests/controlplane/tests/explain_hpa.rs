//! `kubectl tributary explain hpa` against the real autoscaler: what it predicts is what the controller decides next, in
//! replicas and in conditions, for every case.
//!
//! First all autoscalers are explained before the controller has seen one of them, and its first decision of each is
//! compared. Then they are explained while it decides again and again. What only the controller knows by then (its own
//! recommendations, and what it scaled within the periods of policies) is named as a doubt, and there only the direction is
//! compared.

#![expect(
    clippy::indexing_slicing,
    reason = "objects are JSON, and a key that they lack is added"
)]

mod cases;
mod ground;
mod random;
mod table;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{
    Api, Client,
    api::{ListParams, WatchEvent, WatchParams},
};
use tokio::time::{Instant, timeout};
use tributary_cli::{
    explain::hpa::{prediction, prediction::Prediction},
    kube_api::KubeApi,
};
use tributary_controlplane::patience::PATIENCE;
use tributary_sim::SimClock;

use self::{
    cases::{Case, STEADY},
    ground::{AT_ONCE, Autoscaler, Ground, Place},
};

const CONDITIONS: [&str; 3] = ["AbleToScale", "ScalingActive", "ScalingLimited"];

/// What the controller wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Decision {
    /// The version of the object, which is another one as soon as anything is written.
    version: String,
    current: i32,
    desired: i32,
    /// Whether each is True, and why.
    conditions: BTreeMap<String, (bool, String)>,
}

impl Decision {
    /// `None`: the controller has not written yet.
    fn of(object: &HorizontalPodAutoscaler) -> Option<Self> {
        let status = object.status.as_ref()?;
        let conditions = status.conditions.as_ref()?.iter();
        let conditions = conditions.map(|it| {
            let reason = it.reason.clone().unwrap_or_default();
            (it.type_.clone(), (it.status == "True", reason))
        });
        Some(Self {
            version: object.metadata.resource_version.clone().unwrap_or_default(),
            current: status.current_replicas.unwrap_or(0),
            desired: status.desired_replicas,
            conditions: conditions.collect(),
        })
    }
}

/// In what the decision after `before` differs from what was predicted.
fn differs(prediction: &Prediction, before: &Decision, after: &Decision) -> Option<String> {
    let mut wrong = Vec::new();
    let desired = prediction.desired.unwrap_or(before.desired);
    if prediction.doubt.is_some() {
        let between = desired.min(after.current)..=desired.max(after.current);
        if !between.contains(&after.desired) {
            wrong.push(format!(
                "{} replicas, and not between {between:?}",
                after.desired
            ));
        }
    } else {
        if after.desired != desired {
            wrong.push(format!("{} replicas, and not {desired}", after.desired));
        }
        for kind in CONDITIONS {
            let predicted = prediction.condition(kind);
            let predicted = predicted.map(|it| (it.is_true, it.reason.to_owned()));
            let expected = predicted.or_else(|| before.conditions.get(kind).cloned());
            let decided = after.conditions.get(kind).cloned();
            if decided != expected {
                wrong.push(format!("{kind} {decided:?}, and not {expected:?}"));
            }
        }
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// What is predicted of each.
async fn predictions(api: &KubeApi, places: &[Place]) -> anyhow::Result<Vec<Prediction>> {
    let predicted = stream::iter(places).map(|(namespace, name)| async move {
        let mut api = api.clone();
        api.namespace.clone_from(namespace);
        let predicted = prediction(&api, name, SimClock::system().now()).await;
        predicted.with_context(|| format!("{namespace}/{name}"))
    });
    let predicted: Vec<_> = predicted.buffered(AT_ONCE).collect().await;
    predicted.into_iter().collect()
}

/// The first decision about each autoscaler, from the watch that was begun at `version`.
async fn first_decisions(
    client: &Client,
    version: &str,
    count: usize,
) -> anyhow::Result<BTreeMap<Place, Decision>> {
    let all = Api::<HorizontalPodAutoscaler>::all(client.clone());
    let events = all.watch(&WatchParams::default(), version).await?;
    let mut events = std::pin::pin!(events);
    let mut first = BTreeMap::new();
    while first.len() < count {
        let event = events.next().await.context("the watch has ended")??;
        if let WatchEvent::Modified(object) = event
            && let Some(decision) = Decision::of(&object)
        {
            let meta = object.metadata;
            let place = (
                meta.namespace.unwrap_or_default(),
                meta.name.unwrap_or_default(),
            );
            first.entry(place).or_insert(decision);
        }
    }
    Ok(first)
}

/// Cases whose first decision depends on which of two autoscalers the controller sees first.
fn is_a_race(case: &Case) -> bool {
    case.rival
}

/// Starts the controller after all is predicted.
async fn compare_first(
    ground: &Ground,
    api: &KubeApi,
    cases: &[Case],
    places: &[Place],
) -> anyhow::Result<(Vec<String>, Autoscaler)> {
    let all = Api::<HorizontalPodAutoscaler>::all(ground.client.clone());
    let list = all.list(&ListParams::default()).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    let predicted = predictions(api, places).await?;
    let autoscaler = ground.autoscaler()?;
    let first = first_decisions(&ground.client, &version, list.items.len());
    let first = timeout(PATIENCE, first).await??;
    let mut wrong = Vec::new();
    for ((case, place), prediction) in cases.iter().zip(places).zip(&predicted) {
        let decided = first.get(place).context("a decision")?;
        let doubt = prediction
            .doubt
            .as_ref()
            .map(|doubt| format!("a doubt: {doubt}"));
        let differs = doubt.or_else(|| differs(prediction, &Decision::default(), decided));
        if let Some(differs) = differs.filter(|_| !is_a_race(case)) {
            wrong.push(format!(
                "{}: first {differs}\n  {prediction:?}\n  {decided:?}",
                case.what
            ));
        }
    }
    Ok((wrong, autoscaler))
}

/// Compares each as soon as the controller decides twice in the same way, and returns how many had a doubt.
async fn compare_steady(
    (ground, autoscaler): (&Ground, &Autoscaler),
    api: &KubeApi,
    cases: &[Case],
    places: &[Place],
) -> anyhow::Result<(Vec<String>, usize)> {
    let (mut wrong, mut doubts) = (Vec::new(), 0);
    let mut left: Vec<(&Case, &Place)> = cases.iter().zip(places).collect();
    let end = Instant::now() + PATIENCE;
    while !left.is_empty() {
        anyhow::ensure!(Instant::now() < end, "{} do not come to rest", left.len());
        let here: Vec<Place> = left.iter().map(|(_, place)| (*place).clone()).collect();
        let before = decisions(&ground.client).await?;
        let predicted = predictions(api, &here).await?;
        autoscaler.looks_at_all(before.len()).await?;
        let after = decisions(&ground.client).await?;
        let mut moving = Vec::new();
        for ((case, place), prediction) in left.into_iter().zip(&predicted) {
            let (before, after) = (&before[place], &after[place]);
            if before != after {
                moving.push((case, place));
                continue;
            }
            doubts += usize::from(prediction.doubt.is_some());
            if let Some(differs) = differs(prediction, before, after) {
                let what = &case.what;
                wrong.push(format!(
                    "{what}: then {differs}\n  {prediction:?}\n  {after:?}"
                ));
            }
        }
        left = moving;
    }
    Ok((wrong, doubts))
}

async fn decisions(client: &Client) -> anyhow::Result<BTreeMap<Place, Decision>> {
    let all = Api::<HorizontalPodAutoscaler>::all(client.clone());
    let list = all.list(&ListParams::default()).await?;
    let decided = list.items.iter().map(|object| {
        let meta = object.metadata.clone();
        let place = (
            meta.namespace.unwrap_or_default(),
            meta.name.unwrap_or_default(),
        );
        (place, Decision::of(object).unwrap_or_default())
    });
    Ok(decided.collect())
}

/// How many cases there are, how many of them had a doubt, and how long it took.
async fn compare() -> anyhow::Result<(usize, usize, Duration)> {
    let cases = [table::table(), random::generated()].concat();
    let ground = Ground::start().await?;
    let begun = Instant::now();
    let places = ground.make(&cases).await?;
    let api = crate::doctor::api(&ground.kubeconfig()).await?;
    let (mut wrong, autoscaler) = compare_first(&ground, &api, &cases, &places).await?;
    let (then, doubts) = compare_steady((&ground, &autoscaler), &api, &cases, &places).await?;
    wrong.extend(then);
    let took = begun.elapsed();
    autoscaler.kill().await?;
    ground.stop().await?;
    let count = wrong.len();
    anyhow::ensure!(wrong.is_empty(), "{count} differ:\n{}", wrong.join("\n"));
    anyhow::ensure!(took < STEADY, "pods became other ones meanwhile: {took:?}");
    Ok((cases.len(), doubts, took))
}

#[test]
fn what_is_predicted_is_what_the_controller_decides() -> anyhow::Result<()> {
    // Programs end with the thread that started them, which is this one.
    let (cases, doubts, took) = tokio::runtime::Runtime::new()?.block_on(compare())?;
    println!("{cases} cases in {took:?}, {doubts} of them with a doubt");
    assert!(cases >= 150, "{cases} cases");
    // What policies and windows do in more than one step, and no more.
    assert!(doubts <= cases / 10, "{doubts} doubts");
    Ok(())
}
