use super::*;

fn roster(containers: &[(&str, &str, &str)]) -> Arc<Roster> {
    let mut builder = RosterBuilder::default();
    for (namespace, pod, container) in containers {
        builder
            .add(PodKey::new(*namespace, *pod), (*container).into())
            .unwrap();
    }
    builder.build()
}

#[test]
fn order_of_arrival_does_not_matter() {
    let one = roster(&[("b", "x", "main"), ("a", "y", "side"), ("a", "y", "main")]);
    let other = roster(&[("a", "y", "main"), ("a", "y", "side"), ("b", "x", "main")]);
    assert_eq!(one, other);
    let rows: Vec<String> = one
        .rows()
        .map(|(row, pod, container)| format!("{row} {pod} {container}"))
        .collect();
    assert_eq!(rows, ["0 a/y main", "1 a/y side", "2 b/x main"]);
}

#[test]
fn a_pod_is_found_by_namespace_and_name() {
    let roster = roster(&[("a", "x", "m"), ("a", "y", "m"), ("b", "x", "m")]);
    let wanted = PodKey::new("a", "y");
    assert_eq!(roster.find(&wanted).unwrap().key, wanted);
    assert_eq!(roster.find(&PodKey::new("b", "y")), None);
}

#[test]
fn rosters_are_the_same_if_every_name_is() {
    let one = roster(&[("a", "xy", "z")]);
    assert_eq!(one, roster(&[("a", "xy", "z")]));
    assert_ne!(one, roster(&[("a", "x", "yz")]));
    assert_ne!(one, roster(&[("ax", "y", "z")]));
    assert_ne!(
        roster(&[("a", "x", "p"), ("a", "x", "q")]),
        roster(&[("a", "x", "p"), ("q", "r", "s")])
    );
}

#[test]
fn the_same_container_twice_is_refused() {
    let mut builder = RosterBuilder::default();
    let pod = PodKey::new("a", "x");
    builder.add(pod.clone(), "main".into()).unwrap();
    assert_eq!(
        builder.add(pod, "main".into()).unwrap_err().to_string(),
        "container main of pod a/x twice in a roster"
    );
    assert_eq!(builder.build().containers(), 1);
}

#[test]
fn a_pod_that_is_taken_out_leaves_nothing() {
    let mut builder = RosterBuilder::default();
    for (pod, container) in [("x", "main"), ("x", "side"), ("y", "main")] {
        builder
            .add(PodKey::new("a", pod), container.into())
            .unwrap();
    }
    builder.remove(&PodKey::new("a", "x"));
    builder.remove(&PodKey::new("a", "z"));
    assert_eq!(builder.build(), roster(&[("a", "y", "main")]));
}

#[test]
fn a_name_that_kubernetes_does_not_allow_is_refused_and_changes_nothing() {
    let mut builder = RosterBuilder::default();
    let mut refusal = |namespace: &str, pod: &str, container: &str| {
        let added = builder.add(PodKey::new(namespace, pod), container.into());
        added.unwrap_err().to_string()
    };
    assert_eq!(
        refusal("a", &"n".repeat(254), "main"),
        format!(
            "pod name of 254 bytes in a roster is no DNS subdomain: `{}`",
            "n".repeat(80)
        )
    );
    assert_eq!(
        refusal("", "x", "main"),
        "namespace name of 0 bytes in a roster is no DNS label: ``"
    );
    assert_eq!(
        refusal("a", "x", "\u{1b}[2J"),
        "container name of 4 bytes in a roster is no DNS label: `\\u{1b}[2J`"
    );
    assert_eq!(builder.build(), roster(&[]));
}

#[test]
fn containers_of_a_node_have_a_limit() {
    let mut builder = RosterBuilder::default();
    for pod in 0..20_000 {
        let key = PodKey::new("a", format!("p{pod}"));
        builder.add(key, "c".into()).unwrap();
    }
    assert_eq!(
        builder
            .add(PodKey::new("a", "more"), "c".into())
            .unwrap_err()
            .to_string(),
        "20001 containers in a roster, allowed are 20000"
    );
    // One that is there is not one more.
    let again = builder.add(PodKey::new("a", "p7"), "c".into());
    assert!(matches!(again, Err(InvalidRoster::Duplicate { .. })));
    builder.remove(&PodKey::new("a", "p7"));
    builder.add(PodKey::new("a", "more"), "c".into()).unwrap();
}

#[test]
fn the_bytes_of_the_names_of_a_node_have_a_limit() {
    let mut builder = RosterBuilder::default();
    // 63 + 192 + 1 bytes: 4,096 of them are 1 MiB.
    let key = |pod: usize| PodKey::new("n".repeat(63), format!("{pod:0192}"));
    for pod in 0..4_096 {
        builder.add(key(pod), "c".into()).unwrap();
    }
    let error = Err(InvalidRoster::TooManyNameBytes { max: 1_048_576 });
    assert_eq!(builder.add(PodKey::new("a", "b"), "c".into()), error);
    assert_eq!(builder.add(key(0), "d".into()), error);
    // What was taken out makes room.
    builder.remove(&key(1));
    builder.add(key(0), "d".into()).unwrap();
    builder.add(PodKey::new("a", "b"), "c".into()).unwrap();
    assert_eq!(builder.build().containers(), 4_097);
}

#[test]
fn names_are_interned_if_they_are_equal_and_the_roster_has_one_owner() {
    let make = || {
        let mut builder = RosterBuilder::default();
        for name in ["x", "y"] {
            builder.add(PodKey::new("a", name), "m".into()).unwrap();
        }
        builder.build()
    };
    let (key, container) = (PodKey::new("a", "x"), ContainerName::from("m"));
    let share = |roster: &mut Arc<Roster>| {
        Roster::intern_names(roster, |_| key.clone(), |_| container.clone());
    };
    let at = |name: &ContainerName| name.as_str().as_ptr();
    let mut roster = make();
    share(&mut roster);
    assert!(Arc::ptr_eq(&roster.pods()[0].key.name, &key.name));
    assert_eq!(at(roster.container(1).unwrap()), at(&container));
    assert_eq!(roster, make());
    let mut stored = make();
    let other = Arc::clone(&stored);
    share(&mut stored);
    assert!(!Arc::ptr_eq(&other.pods()[0].key.name, &key.name));
    assert_ne!(at(other.container(1).unwrap()), at(&container));
}

#[test]
fn a_pod_is_found_by_its_key() {
    let roster = roster(&[("a", "x", "m"), ("a", "y", "m"), ("b", "x", "m")]);
    assert_eq!(roster.position(&PodKey::new("a", "y")), Some(1));
    assert_eq!(roster.position(&PodKey::new("b", "y")), None);
}
