use serde_json::json;

use super::*;

fn config(namespace: &str, name: &str) -> Object {
    Object::Other(Arc::new(
        json!({ "metadata": { "namespace": namespace, "name": name } }),
    ))
}

#[test]
fn a_watch_gets_what_it_missed_and_only_of_its_kind() {
    let mut store = Store::default();
    let first = store.put(&CONFIG_MAPS, config("a", "one"));
    store.put(&LEASES, config("a", "lease"));
    store.put(&CONFIG_MAPS, config("a", "one"));
    store.remove(&CONFIG_MAPS, &("a".to_owned(), "one".to_owned()));

    let (missed, _) = store.watch(&CONFIG_MAPS, first).unwrap();
    let seen: Vec<_> = missed
        .iter()
        .map(|event| (event.change, event.version))
        .collect();
    assert_eq!(seen, [(Change::Modified, 4), (Change::Deleted, 5)]);
}

#[test]
fn a_watch_from_before_the_window_is_refused() {
    let mut store = Store::default();
    store.put(&CONFIG_MAPS, config("a", "one"));
    store.compact();
    assert!(store.watch(&CONFIG_MAPS, 1).is_none());
    assert!(store.watch(&CONFIG_MAPS, store.version()).is_some());
}

#[test]
fn a_namespace_is_read_without_its_neighbours() {
    let mut store = Store::default();
    for (namespace, name) in [("a", "z"), ("b", "x"), ("b", "y"), ("c", "a")] {
        store.put(&CONFIG_MAPS, config(namespace, name));
    }
    let names: Vec<_> = store
        .namespace(&CONFIG_MAPS, "b", None)
        .map(|(key, _)| key.1.as_str())
        .collect();
    assert_eq!(names, ["x", "y"]);
    let after = ("b".to_owned(), "x".to_owned());
    let names: Vec<_> = store
        .namespace(&CONFIG_MAPS, "b", Some(&after))
        .map(|(key, _)| key.1.as_str())
        .collect();
    assert_eq!(names, ["y"]);
}
