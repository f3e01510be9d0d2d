//! Deployments with autoscalers, and the steps in their load.
//!
//! The load is one per pod, and the autoscaler may only move between two and four pods. So what it sees after a step is
//! the step, however many pods there are by then. At rest each pod uses what the autoscaler aims at. From two pods the
//! load doubles, and four are wanted; from four it halves, and two are wanted.

use std::{
    io::Write as _,
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
use crate::{objects::apply, workloads::Level};

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

/// Real containers change what they burn, and not what memory they have.
const KINDS_OF_REAL_ONES: [Kind; 2] = [Kind::Cpu, Kind::CpuOfContainer];

/// Half of what an autoscaler aims at, in milli-cores. Real containers use less, because their machine has few processors.
const HALF: u32 = 50;
const HALF_OF_REAL_ONES: u32 = 30;

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
}

/// A Deployment and its autoscaler.
#[derive(Debug)]
pub struct App {
    /// Of both.
    pub name: String,
    kind: Kind,
    /// Half of what is aimed at, in milli-cores.
    half: u32,
    /// How far from what is aimed at the usage at rest may be: less than the autoscaler tolerates.
    rest: f64,
    /// Which part of a step counts as all of it.
    whole: f64,
    seed: u64,
    /// Before a step at most, in milliseconds.
    pause: u64,
}

impl App {
    /// Whether CPU is what counts.
    pub fn is_cpu(&self) -> bool {
        self.kind.is_cpu()
    }

    /// What the autoscaler aims at, in cores or bytes.
    fn target(&self) -> f64 {
        if self.is_cpu() {
            f64::from(self.half) * 2.0 / 1_000.0
        } else {
            134_217_728.0
        }
    }

    /// What `main` uses at so many times half of what is aimed at.
    fn used(&self, parts: u64) -> Level {
        if self.is_cpu() {
            Level {
                millis: u64::from(self.half) * parts,
                memory: 64 * MIB,
            }
        } else {
            Level {
                millis: 20,
                memory: 64 * MIB * parts,
            }
        }
    }

    fn metric(&self) -> Value {
        let (name, value) = if self.is_cpu() {
            ("cpu", format!("{}m", self.half * 2))
        } else {
            ("memory", "128Mi".to_owned())
        };
        let target = json!({ "type": "AverageValue", "averageValue": value });
        if self.kind.containers().len() == 1 {
            json!({ "type": "Resource", "resource": { "name": name, "target": target } })
        } else {
            let source = json!({ "name": name, "container": "main", "target": target });
            json!({ "type": "ContainerResource", "containerResource": source })
        }
    }

    /// Makes all of them.
    ///
    /// # Errors
    ///
    /// The API refuses one.
    pub async fn make(ground: &Ground, effort: Effort) -> anyhow::Result<Vec<Self>> {
        let mut apps = Vec::new();
        let is_real = ground.is_real();
        let kinds: &[Kind] = if is_real { &KINDS_OF_REAL_ONES } else { &KINDS };
        // An autoscaler rounds up to milli-cores: with real containers that is up to a thirtieth of a step down.
        let (half, rest, whole) = if is_real {
            (HALF_OF_REAL_ONES, 0.05, 0.9)
        } else {
            (HALF, 0.02, 0.95)
        };
        for (index, kind) in kinds.iter().cycle().take(effort.apps).enumerate() {
            let app = Self {
                name: format!("web-{index:03}"),
                kind: *kind,
                half,
                rest,
                whole,
                seed: effort.seed ^ u64::try_from(index)?,
                pause: u64::try_from(effort.spread.as_millis())?.max(1) * 2,
            };
            app.load(ground, 2)?;
            let sidecar = Level {
                millis: 5,
                memory: 16 * MIB,
            };
            ground.level(&app.name, "sidecar", sidecar)?;
            // The autoscaler owns their number.
            let few = usize::try_from(FEW)?;
            let deployment = ground.deployment(&app.name, few, kind.containers());
            apply(&ground.client, &deployment).await?;
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
                "metrics": [self.metric()],
            },
        })
    }

    fn load(&self, ground: &Ground, parts: u64) -> anyhow::Result<()> {
        ground.level(&self.name, "main", self.used(parts))
    }

    /// Steps as long as there are steps left.
    ///
    /// # Errors
    ///
    /// The load at rest is not seen, and neither is one that wants all pods.
    pub async fn step(
        &self,
        ground: &Ground,
        observer: &Observer,
        left: &AtomicUsize,
    ) -> anyhow::Result<()> {
        let mut random = self.seed;
        let take = |left: usize| left.checked_sub(1);
        while left
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .is_ok()
        {
            self.load(ground, 2)?;
            let end = Instant::now() + PATIENCE;
            let rests = |seen: &Seen| self.rests(seen);
            let Some(before) = observer.until(&self.name, end, rests).await else {
                self.stir(ground, observer).await?;
                continue;
            };
            sleep(Duration::from_millis(next(&mut random) % self.pause)).await;
            let parts = if before.desired == FEW { 4 } else { 1 };
            self.load(ground, parts)?;
            self.follow(observer, (before, parts)).await;
        }
        Ok(())
    }

    /// Whether the autoscaler sees the load at rest, and has nothing left to do.
    fn rests(&self, seen: &Seen) -> bool {
        let target = self.target();
        let off = seen.average.map(|average| (average / target - 1.0).abs());
        let settled = [FEW, MANY].contains(&seen.desired) && seen.pods == seen.desired;
        settled && off.is_some_and(|off| off < self.rest)
    }

    /// Makes it want all pods after no rest came, because at rest it keeps any number. The step that was to come is missed.
    async fn stir(&self, ground: &Ground, observer: &Observer) -> anyhow::Result<()> {
        let name = &self.name;
        let last = observer.until(name, Instant::now(), |_| true).await;
        let mut out = std::io::stderr();
        writeln!(out, "{name}: no rest within {PATIENCE:?}: {last:?}")?;
        observer.note(|measured| measured.missed += 1);
        self.load(ground, 4)?;
        let end = Instant::now() + PATIENCE;
        let all = |seen: &Seen| seen.desired == MANY && seen.pods == MANY;
        let stirred = observer.until(name, end, all).await;
        anyhow::ensure!(
            stirred.is_some(),
            "{name}: neither rests nor scales: {last:?}"
        );
        Ok(())
    }

    /// What becomes of a step that was just made.
    async fn follow(&self, observer: &Observer, (before, parts): (Seen, u64)) {
        let start = Instant::now();
        let end = start + PATIENCE;
        let target = self.target();
        let decided = |seen: &Seen| seen.desired != before.desired;
        let step = if parts == 4 { target } else { -target / 2.0 };
        let most = |seen: &Seen| {
            let moved = seen.average.map(|average| (average - target) / step);
            moved.is_some_and(|moved| moved >= self.whole)
        };
        let decision = async {
            let seen = observer.until(&self.name, end, decided).await;
            (seen.map(|_| start.elapsed()), observer.age(&self.name))
        };
        let sight = async {
            let seen = observer.until(&self.name, end, most).await;
            seen.map(|_| start.elapsed())
        };
        // The load stays until then, so that none is left with three. An autoscaler computes with the pods that there are: one
        // that wants two and still sees four would want three while their load rises again.
        let goal = if parts == 4 { MANY } else { FEW };
        let arrived = |seen: &Seen| seen.desired == goal && seen.pods == goal;
        let arrival = observer.until(&self.name, end, arrived);
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
