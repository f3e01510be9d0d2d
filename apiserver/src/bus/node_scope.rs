//! Which publisher may publish which nodes: `--bus-allow`.

use std::sync::Arc;

use tributary_runtime::selector::Selector;

use crate::{args::Allow, catalog::Catalog};

/// All rules.
#[derive(Clone, Debug)]
pub(crate) struct ScopeRules {
    catalog: Catalog,
    rules: Arc<[Allow]>,
}

/// The nodes of one publisher.
#[derive(Clone, Debug)]
pub(super) enum NodeScope {
    All,
    Some(Catalog, Arc<[Selector]>),
}

impl ScopeRules {
    /// Labels are those in `catalog`. Without rules, every publisher may publish all nodes.
    pub(crate) fn new(catalog: Catalog, rules: Vec<Allow>) -> Self {
        let rules = rules.into();
        Self { catalog, rules }
    }

    /// The nodes of a publisher with these names. `None` if there are none.
    pub(super) fn of(&self, names: &[String]) -> Option<NodeScope> {
        if self.rules.is_empty() {
            return Some(NodeScope::All);
        }
        let mine = |rule: &&Allow| names.contains(&rule.publisher);
        let selectors = self.rules.iter().filter(mine);
        let selectors: Arc<[Selector]> = selectors.map(|rule| rule.nodes.clone()).collect();
        let catalog = self.catalog.clone();
        (!selectors.is_empty()).then_some(NodeScope::Some(catalog, selectors))
    }
}

impl NodeScope {
    /// Whether `node` is among them. A node that does not exist is not, or not yet.
    pub(super) fn has(&self, node: &str) -> bool {
        let Self::Some(catalog, selectors) = self else {
            return true;
        };
        catalog
            .node(node)
            .is_some_and(|node| selectors.iter().any(|selector| node.labels.meet(selector)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::NodeRecord;

    fn rules(rules: &[&str]) -> ScopeRules {
        let catalog = Catalog::default();
        for (name, pool) in [("n1", "gpu"), ("n2", "web")] {
            catalog.put_node(NodeRecord {
                name: name.into(),
                labels: [("pool".to_owned(), pool.to_owned())].into_iter().collect(),
            });
        }
        let rules = rules.iter().map(|rule| rule.parse().unwrap());
        ScopeRules::new(catalog, rules.collect())
    }

    fn has(scope: &NodeScope) -> [bool; 3] {
        ["n1", "n2", "n3"].map(|node| scope.has(node))
    }

    #[test]
    fn without_rules_everything_may_be_published() {
        let scope = rules(&[]).of(&["anybody".to_owned()]).unwrap();
        assert_eq!(has(&scope), [true, true, true]);
    }

    #[test]
    fn with_rules_what_they_say_and_nothing_else() {
        let rules = rules(&[
            "system:serviceaccount:a:gpu=pool=gpu",
            "system:serviceaccount:a:both=pool=gpu",
            "system:serviceaccount:a:both=pool in (web)",
            "all=",
        ]);
        let of = |name: &str| rules.of(&[name.to_owned()]);
        let gpu = of("system:serviceaccount:a:gpu").unwrap();
        assert_eq!(has(&gpu), [true, false, false]);
        let both = of("system:serviceaccount:a:both").unwrap();
        assert_eq!(has(&both), [true, true, false]);
        assert_eq!(has(&of("all").unwrap()), [true, true, false]);
        assert!(of("system:serviceaccount:a:other").is_none());
    }
}
