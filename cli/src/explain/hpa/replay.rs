//! The arithmetic of the autoscaler for `Resource` and `ContainerResource` metrics, as `replica_calculator.go` of
//! Kubernetes 1.37 does it. Pure: everything is an argument.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

/// The flags of kube-controller-manager that count, with their defaults: no API says what they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How long after its start the CPU of a pod is doubted.
    pub cpu_initialization: Duration,
    /// How long after its start a pod that was never ready is ignored.
    pub initial_readiness: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cpu_initialization: Duration::from_mins(5),
            initial_readiness: Duration::from_secs(30),
        }
    }
}

/// By how much the ratio may differ from 1 without a change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Below.
    pub down: f64,
    /// Above.
    pub up: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { down: 0.1, up: 0.1 }
    }
}

impl Tolerance {
    fn has(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What the autoscaler aims at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A part of the requests, in percent.
    Utilization(i64),
    /// A mean of all pods, as a milli-value.
    Average(i64),
}

/// What counts of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// It is being deleted, or has failed.
    pub ends: bool,
    /// Its phase is Pending.
    pub pending: bool,
    /// When the kubelet began with it.
    pub started: Option<Timestamp>,
    /// Its condition Ready: whether it is False, and since when it is what it is.
    pub ready: Option<(bool, Timestamp)>,
}

/// What `metrics.k8s.io` has of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its timestamp.
    pub at: Timestamp,
    /// Its window.
    pub window: Duration,
    /// The milli-value: of one container, or the sum of all.
    pub value: i64,
}

/// One metric, and what it is computed from.
#[derive(Clone, Debug)]
pub struct Question {
    /// The replicas that the target has by its spec.
    pub current: i32,
    /// What is aimed at.
    pub target: Target,
    /// The resource. Only CPU is doubted while a pod starts.
    pub resource: String,
    /// By how much it may differ.
    pub tolerance: Tolerance,
    /// The pods that the selector matches.
    pub pods: Vec<Pod>,
    /// Whether the metrics API has anything of these pods, be it of other resources or containers.
    pub served: bool,
    /// The samples, by name of the pod.
    pub samples: BTreeMap<String, Sample>,
    /// The requests as milli-values, by name of the pod; or which one is missing.
    pub requests: Result<BTreeMap<String, i64>, String>,
    /// The date.
    pub now: Timestamp,
    /// The flags.
    pub settings: Settings,
}

/// Which pods count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Those that count.
    pub ready: usize,
    /// Their samples do not count, and why.
    pub unready: Vec<(String, String)>,
    /// They have no sample.
    pub missing: Vec<String>,
    /// They are as if they were not there.
    pub ignored: Vec<String>,
}

/// Why the proposal is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The ratio is within the tolerance.
    Tolerated,
    /// With what is assumed of missing and unready pods it is within the tolerance, or on the other side of it.
    TooUncertain,
    /// The number of pods that count would change the direction.
    Reversed,
    /// The ratio demands it.
    Computed,
}

/// What one metric proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// How many replicas.
    pub replicas: i32,
    /// The usage: percent of the requests, or the mean milli-value.
    pub usage: i64,
    /// Usage to target, of the pods that count.
    pub ratio: f64,
    /// The same with what is assumed of missing and unready pods, if that was needed.
    pub assumed: Option<f64>,
    /// Why.
    pub reason: Reason,
    /// Which pods count.
    pub groups: Groups,
}

/// What a metric proposes.
///
/// # Errors
///
/// The autoscaler cannot compute it: in its own words.
pub fn propose(question: &Question) -> Result<Proposal, String> {
    if !question.served {
        let resource = &question.resource;
        return Err(format!(
            "unable to get metrics for resource {resource}: no metrics returned from resource metrics API"
        ));
    }
    if question.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let groups = group(question);
    let mut values: BTreeMap<&str, i64> = BTreeMap::new();
    for (name, sample) in &question.samples {
        let unready = groups.unready.iter().any(|(unready, _)| unready == name);
        if !unready && !groups.ignored.contains(name) {
            values.insert(name, sample.value);
        }
    }
    if values.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    let (ratio, usage) = ratio(question, &values)?;
    let proposal = |replicas, assumed, reason| Proposal {
        replicas,
        usage,
        ratio,
        assumed,
        reason,
        groups: groups.clone(),
    };
    let up_with_unready = !groups.unready.is_empty() && ratio > 1.0;
    if !up_with_unready && groups.missing.is_empty() {
        if question.tolerance.has(ratio) {
            return Ok(proposal(question.current, None, Reason::Tolerated));
        }
        let replicas = int32((ratio * count(groups.ready)).ceil());
        return Ok(proposal(replicas, None, Reason::Computed));
    }
    assume(question, &groups, ratio, &mut values);
    let (assumed, _) = self::ratio(question, &values)?;
    let crosses = (ratio < 1.0 && assumed > 1.0) || (ratio > 1.0 && assumed < 1.0);
    if question.tolerance.has(assumed) || crosses {
        let reason = Reason::TooUncertain;
        return Ok(proposal(question.current, Some(assumed), reason));
    }
    let replicas = int32((assumed * count(values.len())).ceil());
    let current = question.current;
    if (assumed < 1.0 && replicas > current) || (assumed > 1.0 && replicas < current) {
        return Ok(proposal(current, Some(assumed), Reason::Reversed));
    }
    Ok(proposal(replicas, Some(assumed), Reason::Computed))
}

/// What is assumed of pods without samples: against a change in either direction.
fn assume<'a>(
    question: &'a Question,
    groups: &'a Groups,
    ratio: f64,
    values: &mut BTreeMap<&'a str, i64>,
) {
    for name in &groups.missing {
        if ratio < 1.0 {
            let requests = question.requests.as_ref();
            let request = requests.ok().and_then(|requests| requests.get(name));
            let value = match question.target {
                Target::Utilization(target) => {
                    request.copied().unwrap_or(0).wrapping_mul(target.max(100)) / 100
                }
                Target::Average(target) => target,
            };
            values.insert(name, value);
        } else if ratio > 1.0 {
            values.insert(name, 0);
        }
    }
    if ratio > 1.0 {
        values.extend(groups.unready.iter().map(|(name, _)| (&**name, 0)));
    }
}

/// Usage to target, and the usage.
fn ratio(question: &Question, values: &BTreeMap<&str, i64>) -> Result<(f64, i64), String> {
    match question.target {
        Target::Average(target) => {
            let pods = i64::try_from(values.len()).unwrap_or(i64::MAX);
            let total = values
                .values()
                .fold(0_i64, |total, value| total.wrapping_add(*value));
            let usage = total.checked_div(pods).unwrap_or(0);
            Ok((float(usage) / float(target), usage))
        }
        Target::Utilization(target) => {
            let requests = question.requests.as_ref().map_err(Clone::clone)?;
            let known = values
                .iter()
                .filter_map(|(name, value)| Some((value, requests.get(*name)?)));
            let (used, requested) =
                known.fold((0_i64, 0_i64), |(used, requested), (value, request)| {
                    (used.wrapping_add(*value), requested.wrapping_add(*request))
                });
            let usage = used.wrapping_mul(100).checked_div(requested);
            let usage = usage.ok_or_else(|| "no metrics returned matched known pods".to_owned())?;
            let usage = low_half(usage);
            Ok((f64::from(usage) / float(target), usage.into()))
        }
    }
}

fn group(question: &Question) -> Groups {
    let mut groups = Groups::default();
    for pod in &question.pods {
        let name = pod.name.clone();
        if pod.ends {
            groups.ignored.push(name);
        } else if pod.pending {
            groups.unready.push((name, "Pending".to_owned()));
        } else if let Some(sample) = question.samples.get(&name) {
            match unready(question, pod, sample) {
                Some(why) => groups.unready.push((name, why)),
                None => groups.ready += 1,
            }
        } else {
            groups.missing.push(name);
        }
    }
    groups
}

/// Why the sample of a pod does not count.
fn unready(question: &Question, pod: &Pod, sample: &Sample) -> Option<String> {
    if question.resource != "cpu" {
        return None;
    }
    let (Some(started), Some((is_false, since))) = (pod.started, pod.ready) else {
        return Some("no condition Ready, or not started".to_owned());
    };
    let Settings {
        cpu_initialization,
        initial_readiness,
    } = question.settings;
    let initialized = after(started, cpu_initialization);
    if initialized > question.now {
        if is_false {
            return Some(format!("not Ready; doubted until {initialized}"));
        }
        let counts = after(since, sample.window);
        let early = sample.at < counts;
        return early.then(|| {
            format!("Ready since {since}: its sample counts if it is not before {counts}")
        });
    }
    let never_ready = is_false && after(started, initial_readiness) > since;
    never_ready.then(|| "was never Ready".to_owned())
}

fn after(at: Timestamp, span: Duration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}

#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "the autoscaler loses the same digits"
)]
fn float(value: i64) -> f64 {
    value as f64
}

fn count(value: usize) -> f64 {
    float(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A number of replicas. What no `int32` holds becomes the smallest one, as on amd64, so an autoscaler whose target is far too
/// small scales to its minimum.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "it is within the limits"
)]
pub(super) fn int32(value: f64) -> i32 {
    if value < f64::from(i32::MIN) || value > f64::from(i32::MAX) || value.is_nan() {
        return i32::MIN;
    }
    value as i32
}

/// The controller keeps percents in 32 bits, and loses those above.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the autoscaler loses the same digits"
)]
fn low_half(value: i64) -> i32 {
    value as i32
}

#[cfg(test)]
mod tests;
