//! Clocks of kubelets that differ, are set, or run by turns.

use super::*;

#[test]
fn each_container_has_a_clock_of_its_own() {
    for (ahead, resolution) in [(90, 15), (31, 10), (-90, 15), (-95_908_296, 15)] {
        let pages: Vec<Page> = (0..5)
            .map(|number| {
                let at = number * resolution;
                let cpu = 100.0 + 0.1 * seconds(at);
                Page::asked_at(at)
                    .node(cpu, Some(at))
                    .pod("odd", cpu, Some(at + ahead))
                    .pod("web", cpu, Some(at))
            })
            .collect();
        let names = ["n1", "odd", "web"];
        for said in answers(&mut Pipeline::new(resolution), &pages, &names) {
            let served = format!("100m/{resolution}s");
            assert!(
                said[1..].iter().all(|said| *said == served),
                "{ahead}: {said:?}"
            );
        }
    }
}

#[test]
fn a_container_without_times_is_served_beside_others_whose_clock_is_years_behind() {
    let pages = pages(4, |at| {
        let cpu = 100.0 + 0.1 * seconds(at);
        Page::asked_at(at)
            .node(cpu, Some(at - 95_908_296))
            .pod("old", cpu, Some(at - 95_908_296))
            .pod("bare", cpu, None)
    });
    for said in answers(&mut Pipeline::new(15), &pages, &["n1", "old", "bare"]) {
        assert!(said[1..].iter().all(|said| said == "100m/15s"), "{said:?}");
    }
}

#[test]
fn a_clock_that_is_set_costs_one_sample() {
    for step in [3_600, -3_600] {
        let pages = pages(6, |at| {
            let stamp = if at < 45 { at } else { at + step };
            let cpu = 100.0 + 0.1 * seconds(at);
            Page::asked_at(at)
                .node(cpu, Some(stamp))
                .pod("p", cpu, Some(stamp))
        });
        let [node, pod] = &answers(&mut Pipeline::new(15), &pages, &["n1", "p"])[..] else {
            unreachable!()
        };
        let served = "100m/15s";
        are(node, &[WAITS, served, served, SET, served, served]);
        are(pod, &[POD_WAITS, served, served, POD_SET, served, served]);
    }
}

#[test]
fn a_run_that_is_over_and_is_shown_by_turns_gives_no_number() {
    let epoch = f64::from(1_790_000_000);
    // The running container began 20 s before the first page and uses 3 cores. The page also has the ended one, with a
    // constant total that is smaller or larger.
    for over in [40.0, 900.0] {
        let pages = pages(7, |at| {
            let page = Page::asked_at(at);
            if at % 30 == 0 {
                page.pod("p", 60.0 + 3.0 * seconds(at), Some(at))
                    .started("p", epoch - 20.0)
            } else {
                page.pod("p", over, Some(at)).started("p", epoch - 900.0)
            }
        });
        let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
        let served = "3000m/30s";
        let expected = [POD_WAITS, POD_SET, served, POD_SET, served, POD_SET, served];
        are(said, &expected);
    }
}

#[test]
fn a_start_that_the_clock_passes_again_is_no_beginning() {
    let epoch = f64::from(1_790_000_000);
    // The clock was set back by an hour before the first page, so the start is 47 s in the future.
    let pages = pages(6, |at| {
        Page::asked_at(at)
            .pod("p", 3_600.0 + 0.5 * seconds(at), Some(at))
            .started("p", epoch + 47.0)
    });
    let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    let served = "500m/15s";
    are(
        said,
        &[POD_WAITS, served, served, served, POD_WAITS, served],
    );
}

#[test]
fn a_clock_that_is_set_by_less_than_a_minute_makes_no_wrong_number() {
    // The kubelet measures once a minute, and its clock is set ahead by 50 s.
    let pages = pages(20, |at| {
        let measured = at - at % 60;
        let stamp = if measured < 120 {
            measured
        } else {
            measured + 50
        };
        Page::asked_at(at).pod("p", 100.0 + 0.5 * seconds(measured), Some(stamp))
    });
    let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    let (served, set) = ("500m/60s", POD_SET);
    let nothing_new = "the kubelet has reported nothing new for 46s";
    let expected = [
        [POD_WAITS, POD_WAITS, POD_WAITS, nothing_new],
        [served; 4],
        [set; 4],
        [served; 4],
        [served; 4],
    ];
    are(said, &expected.concat());
}

#[test]
fn a_total_that_moves_under_one_stamp_is_that_of_its_first_page() {
    // The time is renewed on every other page, the total on each.
    let pages = pages(7, |at| {
        let stamp = at - at % 30;
        Page::asked_at(at).pod("p", 100.0 + 0.5 * seconds(at), Some(stamp))
    });
    let said = &answers(&mut Pipeline::new(15), &pages, &["p"])[0];
    let served = "500m/30s";
    assert_eq!(said[..2], [POD_WAITS, POD_WAITS]);
    assert!(said[2..].iter().all(|said| said == served), "{said:?}");
}

#[test]
fn one_odd_time_of_the_node_concerns_the_node_for_one_page() {
    let pages = pages(6, |at| {
        let stamp = if at == 45 { at + 86_400 } else { at };
        let cpu = 100.0 + 0.1 * seconds(at);
        Page::asked_at(at)
            .node(cpu, Some(stamp))
            .pod("p", cpu, Some(at))
    });
    let [node, pod] = &answers(&mut Pipeline::new(15), &pages, &["n1", "p"])[..] else {
        unreachable!()
    };
    let served = "100m/15s";
    are(node, &[WAITS, served, served, SET, "100m/30s", served]);
    assert!(pod[1..].iter().all(|said| said == served), "{pod:?}");
}
