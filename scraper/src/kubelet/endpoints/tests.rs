use super::*;

const RESOURCE: Endpoint = Endpoint::Resource;
const V1ALPHA1: Endpoint = Endpoint::ResourceV1alpha1;
const SUMMARY: Endpoint = Endpoint::StatsSummary;

/// A kubelet by what each endpoint answers, and what is known of it.
struct Stage {
    endpoints: Endpoints,
    answers: [Answer; 3],
}

impl Stage {
    fn new(answers: [Answer; 3]) -> Self {
        Self {
            endpoints: Endpoints::default(),
            answers,
        }
    }

    /// One scrape: what is asked, in this order.
    fn scrape(&mut self) -> Vec<Endpoint> {
        let (mut endpoint, mut round) = self.endpoints.begin(Instant::now());
        let mut asked = vec![endpoint];
        loop {
            let [resource, v1alpha1, summary] = self.answers;
            let answer = match endpoint {
                RESOURCE => resource,
                V1ALPHA1 => v1alpha1,
                SUMMARY => summary,
            };
            let Some(next) = self.endpoints.next(&mut round, endpoint, answer) else {
                return asked;
            };
            endpoint = next;
            asked.push(next);
        }
    }

    /// Scrapes every 15 s; what was asked at each.
    async fn scrapes(&mut self, count: usize) -> Vec<Vec<Endpoint>> {
        let mut all = Vec::new();
        for _ in 0..count {
            tokio::time::advance(Duration::from_secs(15)).await;
            all.push(self.scrape());
        }
        all
    }
}

use Answer::{Absent, Numbers, Refusal, Silence};

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_has_the_first_is_asked_for_nothing_else() {
    for answer in [Numbers, Refusal, Silence] {
        let mut stage = Stage::new([answer, Numbers, Numbers]);
        assert_eq!(
            stage.scrapes(100).await,
            vec![vec![RESOURCE]; 100],
            "{answer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_found_is_asked_alone_and_a_better_one_every_ten_minutes() {
    let mut stage = Stage::new([Absent, Absent, Numbers]);
    assert_eq!(stage.scrape(), [RESOURCE, V1ALPHA1, SUMMARY]);
    // 15 s to 9:45.
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    // A look costs one request more, each of the better ones in its turn.
    assert_eq!(stage.scrapes(1).await, [[RESOURCE, SUMMARY]]);
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    assert_eq!(stage.scrapes(1).await, [[V1ALPHA1, SUMMARY]]);
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    assert_eq!(stage.scrapes(1).await, [[RESOURCE, SUMMARY]]);
}

#[tokio::test(start_paused = true)]
async fn the_one_between_is_taken_before_the_last() {
    let mut stage = Stage::new([Absent, Numbers, Numbers]);
    assert_eq!(stage.scrape(), [RESOURCE, V1ALPHA1]);
    assert_eq!(stage.scrapes(39).await, vec![vec![V1ALPHA1]; 39]);
    assert_eq!(stage.scrapes(1).await, [[RESOURCE, V1ALPHA1]]);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_kubelet_is_found_at_the_next_look() {
    let mut stage = Stage::new([Absent, Absent, Numbers]);
    stage.scrape();
    stage.answers = [Numbers, Absent, Numbers];
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    assert_eq!(stage.scrapes(41).await, vec![vec![RESOURCE]; 41]);
}

#[tokio::test(start_paused = true)]
async fn what_a_look_finds_costs_nothing_but_its_request() {
    let mut stage = Stage::new([Absent, Absent, Numbers]);
    stage.scrape();
    stage.answers = [Refusal, Absent, Numbers];
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    assert_eq!(stage.scrapes(1).await, [[RESOURCE, SUMMARY]]);
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    // Without an answer there is no time left: one sample in ten minutes.
    stage.answers = [Silence, Silence, Numbers];
    assert_eq!(stage.scrapes(1).await, [[V1ALPHA1]]);
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
    assert_eq!(stage.scrapes(1).await, [[RESOURCE]]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_replaced_at_once() {
    let mut stage = Stage::new([Absent, Numbers, Numbers]);
    stage.scrape();
    stage.answers = [Numbers, Absent, Numbers];
    assert_eq!(
        stage.scrapes(2).await,
        [vec![V1ALPHA1, RESOURCE], vec![RESOURCE]]
    );
    stage.answers = [Absent, Absent, Numbers];
    let three = vec![RESOURCE, V1ALPHA1, SUMMARY];
    assert_eq!(stage.scrapes(2).await, [three, vec![SUMMARY]]);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_has_none_is_asked_once_a_scrape_and_for_all_each_minute() {
    let mut stage = Stage::new([Absent; 3]);
    let all = vec![RESOURCE, V1ALPHA1, SUMMARY];
    assert_eq!(stage.scrape(), all);
    for _ in 0..5 {
        assert_eq!(stage.scrapes(3).await, vec![vec![RESOURCE]; 3]);
        assert_eq!(stage.scrapes(1).await, std::slice::from_ref(&all));
    }
    // One that was starting.
    stage.answers = [Numbers, Absent, Absent];
    assert_eq!(stage.scrapes(2).await, [[RESOURCE], [RESOURCE]]);
}

#[tokio::test(start_paused = true)]
async fn a_fallback_that_is_refused_is_asked_alone_and_a_better_one_each_minute() {
    // 403, for want of a permission.
    let mut stage = Stage::new([Absent, Absent, Refusal]);
    assert_eq!(stage.scrape(), [RESOURCE, V1ALPHA1, SUMMARY]);
    assert_eq!(stage.scrapes(3).await, vec![vec![SUMMARY]; 3]);
    assert_eq!(stage.scrapes(1).await, [[RESOURCE, SUMMARY]]);
    assert_eq!(stage.scrapes(3).await, vec![vec![SUMMARY]; 3]);
    // Granted.
    stage.answers = [Absent, Absent, Numbers];
    assert_eq!(stage.scrapes(1).await, [[V1ALPHA1, SUMMARY]]);
    assert_eq!(stage.scrapes(39).await, vec![vec![SUMMARY]; 39]);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_said_404_by_mistake_is_read_again_after_a_minute() {
    let mut stage = Stage::new([Absent, Absent, Refusal]);
    stage.scrape();
    stage.answers = [Numbers, Absent, Refusal];
    assert_eq!(stage.scrapes(3).await, vec![vec![SUMMARY]; 3]);
    assert_eq!(stage.scrapes(10).await, vec![vec![RESOURCE]; 10]);
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_is_away_for_a_while_is_not_probed_again() {
    let mut stage = Stage::new([Absent, Absent, Numbers]);
    stage.scrape();
    stage.answers = [Silence; 3];
    assert_eq!(stage.scrapes(3).await, vec![vec![SUMMARY]; 3]);
    // One that nobody has reached yet.
    let mut stage = Stage::new([Silence; 3]);
    assert_eq!(stage.scrapes(3).await, vec![vec![RESOURCE]; 3]);
    stage.answers = [Absent, Silence, Silence];
    assert_eq!(stage.scrapes(2).await, vec![vec![RESOURCE, V1ALPHA1]; 2]);
}
