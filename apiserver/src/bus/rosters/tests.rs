use tributary_model::{PodKey, RosterBuilder};

use super::{super::accounts::Accounts, *};

fn wire(id: u64, containers: usize) -> WireRoster {
    let mut builder = RosterBuilder::default();
    for row in 0..containers {
        let name = format!("c{row}");
        builder
            .add(PodKey::new("shop", "web"), name.as_str().into())
            .unwrap();
    }
    WireRoster {
        roster: builder.build(),
        id,
        rows: None,
    }
}

fn rosters() -> (Rosters, Account) {
    let accounts = Accounts::default();
    let open = || accounts.open(&"p".into(), Instant::now()).unwrap();
    (Rosters::new(Arc::new(open())), open())
}

#[test]
fn a_node_counts_once_however_often_its_roster_changes() {
    let (mut rosters, other) = rosters();
    for id in 0..2_100 {
        assert_eq!(rosters.put("n1".into(), wire(id, 1_000)), Ok(()));
    }
    assert_eq!(rosters.len(), 1);
    drop(rosters);
    for _ in 0..80_000 {
        other.hold(None).unwrap();
    }
}

#[test]
fn nodes_have_a_limit() {
    let (mut rosters, _other) = rosters();
    let one = wire(1, 1);
    for node in 0..NODES_PER_STREAM {
        let node = format!("n{node}").as_str().into();
        assert_eq!(rosters.put(node, one.clone()), Ok(()));
    }
    let refused = rosters.put("more".into(), one.clone()).unwrap_err();
    assert_eq!(refused.to_string(), "more than 20000 nodes of one stream");
    let found = rosters.find("more", 1, Instant::now());
    assert!(matches!(found, Found::Full), "{found:?}");
    // Nodes that have a roster can still replace it.
    assert_eq!(rosters.put("n7".into(), one), Ok(()));
    let found = rosters.find("n7", 1, Instant::now());
    assert!(matches!(found, Found::Roster(_)), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_refused_is_asked_again_after_a_while_and_may_be_well() {
    let (mut rosters, _other) = rosters();
    let start = Instant::now();
    let node = NodeName::from("n1");
    rosters.put(node.clone(), wire(1, 1)).unwrap();
    assert!(rosters.refuse(&node, "containers", "too many".into(), start));
    assert!(!rosters.refuse(&node, "containers", "too many".into(), start));
    let found = rosters.find("n1", 1, start);
    assert!(matches!(found, Found::Refused(_)), "{found:?}");
    let later = start + ASK_AGAIN;
    assert!(matches!(rosters.find("n1", 1, later), Found::Ask));
    assert!(matches!(rosters.find("n1", 1, later), Found::Refused(_)));
    rosters.put(node, wire(2, 1)).unwrap();
    assert!(matches!(rosters.find("n1", 2, later), Found::Roster(_)));
    assert!(matches!(rosters.find("n1", 1, later), Found::Ask));
}
