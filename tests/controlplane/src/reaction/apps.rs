//! Deployments with autoscalers, and the steps in their load.
//!
//! The load is one per pod, and the autoscaler may only move between two and four pods. So what it sees after a step is
//! the step, however many pods there are by then. At rest each pod uses what the autoscaler aims at. From two pods the
//! load doubles, and four are wanted; from four it halves, and two are wanted.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    Effort,
    ground::{Ground, NAMESPACE},
    observer::{Observer, Seen},
};
use crate::{
    objects::{apply, deployment},
    workloads::Level,
};

const FEW: i64 = 2;
const MANY: i64 = 4;
/// Longer than anything should take: three times a minute.
const PATIENCE: Duration = Duration::from_mins(3);
const MIB: u64 = 1 << 20;

/// What an autoscaler looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cpu,
    CpuOfContainer,
    Memory,
    MemoryOfContainer,
}

const KINDS: [Kind; 4] = [
    Kind::Cpu,
    Kind::CpuOfContainer,
    Kind::Memory,
    Kind::MemoryOfContainer,
];

impl Kind {
    fn is_cpu(self) -> bool {
        matches!(self, Self::Cpu | Self::CpuOfContainer)
    }

    fn containers(self) -> &'static [&'static str] {
        match self {
            Self::Cpu | Self::Memory => &["main"],
            Self::CpuOfContainer | Self::MemoryOfContainer => &["main", "sidecar"],
        }
    }

    /// What the autoscaler aims at, in cores or bytes.
    fn target(self) -> f64 {
        if self.is_cpu() { 0.1 } else { 134_217_728.0 }
    }

    /// What `main` uses at this many halves of what is aimed at.
    fn level(self, components: u64) -> Level {
        if self.is_cpu() {
            Level {
                millis: 50 * components,
                memory: 64 * MIB,
            }
        } else {
            Level {
                millis: 20,
                memory: 64 * MIB * components,
            }
        }
    }

    fn metric(self) -> Value {
        let (name, value) = if self.is_cpu() {
            ("cpu", "100m")
        } else {
            ("memory", "128Mi")
        };
        let target = json!({ "type": "AverageValue", "averageValue": value });
        if self.containers().len() == 1 {
            json!({ "type": "Resource", "resource": { "name": name, "target": target } })
        } else {
            let source = json!({ "name": name, "container": "main", "target": target });
            json!({ "type": "ContainerResource", "containerResource": source })
        }
    }
}

/// A Deployment and its autoscaler.
#[derive(Debug)]
pub struct App {
    /// Of both.
    pub name: String,
    kind: Kind,
    seed: u64,
    /// Before a step at most, in milliseconds.
    pause: u64,
}

impl App {
    /// Whether CPU is what counts.
    pub fn is_cpu(&self) -> bool {
        self.kind.is_cpu()
    }

    /// Makes all of them.
    ///
    /// # Errors
    ///
    /// The API refuses one.
    pub async fn make(ground: &Ground, effort: Effort) -> anyhow::Result<Vec<Self>> {
        let mut apps = Vec::new();
        for (index, kind) in KINDS.into_iter().cycle().take(effort.apps).enumerate() {
            let app = Self {
                name: format!("web-{index:03}"),
                kind,
                seed: effort.seed ^ u64::try_from(index)?,
                pause: u64::try_from(effort.spread.as_millis())?.max(1) * 2,
            };
            app.load(ground, 2);
            let sidecar = Level {
                millis: 5,
                memory: 16 * MIB,
            };
            let workloads = &ground.workloads;
            workloads.level(NAMESPACE, &app.name, "sidecar", sidecar);
            // The autoscaler owns their number.
            let containers = kind.containers();
            let few = usize::try_from(FEW)?;
            apply(
                &ground.client,
                &deployment(NAMESPACE, &app.name, few, containers),
            )
            .await?;
            apply(&ground.client, &app.autoscaler()).await?;
            apps.push(app);
            // An autoscaler keeps the phase in which it was made.
            sleep(effort.spread / u32::try_from(effort.apps)?).await;
        }
        Ok(apps)
    }

    fn autoscaler(&self) -> Value {
        let at_once = json!({
            "stabilizationWindowSeconds": 0,
            "policies": [{ "type": "Pods", "value": 20, "periodSeconds": 1 }],
        });
        json!({
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": { "namespace": NAMESPACE, "name": self.name },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": self.name },
                "minReplicas": FEW,
                "maxReplicas": MANY,
                "behavior": { "scaleUp": at_once, "scaleDown": at_once },
                "metrics": [self.kind.metric()],
            },
        })
    }

    fn load(&self, ground: &Ground, components: u64) {
        let level = self.kind.level(components);
        ground.workloads.level(NAMESPACE, &self.name, "main", level);
    }

    /// Steps as long as there are steps left.
    ///
    /// # Errors
    ///
    /// The load at rest is not seen.
    pub async fn step(
        &self,
        ground: &Ground,
        observer: &Observer,
        left: &AtomicUsize,
    ) -> anyhow::Result<()> {
        let target = self.kind.target();
        let mut random = self.seed;
        let take = |left: usize| left.checked_sub(1);
        while left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
        {
            self.load(ground, 2);
            let rest = |seen: &Seen| {
                let off = seen.average.map(|average| (average / target - 1.0).abs());
                off.is_some_and(|off| off < 0.02) && [FEW, MANY].contains(&seen.desired)
            };
            let end = Instant::now() + PATIENCE;
            let seen = observer.until(&self.name, end, rest).await;
            let Some(before) = seen else {
                let last = observer.until(&self.name, end, |_| true).await;
                anyhow::bail!("{}: no rest within {PATIENCE:?}: {last:?}", self.name)
            };
            sleep(Duration::from_millis(next(&mut random) % self.pause)).await;
            let components = if before.desired == FEW { 4 } else { 1 };
            self.load(ground, components);
            self.follow(observer, (before, components)).await;
        }
        Ok(())
    }

    /// What becomes of a step that was just made.
    async fn follow(&self, observer: &Observer, (before, components): (Seen, u64)) {
        let start = Instant::now();
        let end = start + PATIENCE;
        let target = self.kind.target();
        let decided = |seen: &Seen| seen.desired != before.desired;
        let whole = if components == 4 {
            target
        } else {
            -target / 2.0
        };
        let most = |seen: &Seen| {
            let moved = seen.average.map(|average| (average - target) / whole);
            moved.is_some_and(|moved| moved >= 0.95)
        };
        let decision = async {
            let seen = observer.until(&self.name, end, decided).await;
            (seen.map(|_| start.elapsed()), observer.age(&self.name))
        };
        let sight = async {
            let seen = observer.until(&self.name, end, most).await;
            seen.map(|_| start.elapsed())
        };
        // The load stays until then, so that none is left with three.
        let goal = if components == 4 { MANY } else { FEW };
        let arrival = observer.until(&self.name, end, |seen| seen.desired == goal);
        let ((decision, age), sight, _) = tokio::join!(decision, sight, arrival);
        observer.note(|measured| match (decision, sight) {
            (Some(decision), Some(sight)) => {
                measured.decision.push(decision.as_secs_f64());
                measured.right_size.push(sight.as_secs_f64());
                measured.sample_age.extend(age);
            }
            _ => measured.missed += 1,
        });
    }
}

/// The next of a row of numbers that looks random (splitmix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
