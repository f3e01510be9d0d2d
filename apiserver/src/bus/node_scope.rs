//! Which publisher may publish which nodes: `--bus-allow`.

use std::{str::FromStr, sync::Arc};

use tributary_runtime::selector::{BadSelector, Selector};

use crate::catalog::Catalog;

/// One `--bus-allow`: a publisher and the labels of its nodes.
#[derive(Clone, Debug)]
pub struct Allow {
    publisher: String,
    nodes: Selector,
}

/// Why a `--bus-allow` is not valid.
#[derive(Debug, thiserror::Error)]
pub enum BadAllow {
    /// It has no `=`, or nothing before it.
    #[error("should be PUBLISHER=SELECTOR")]
    Form,
    /// The selector is not valid.
    #[error(transparent)]
    Selector(#[from] BadSelector),
}

impl FromStr for Allow {
    type Err = BadAllow;

    fn from_str(text: &str) -> Result<Self, BadAllow> {
        let (publisher, nodes) = text.split_once('=').ok_or(BadAllow::Form)?;
        if publisher.is_empty() {
            return Err(BadAllow::Form);
        }
        Ok(Self {
            publisher: publisher.to_owned(),
            nodes: nodes.parse()?,
        })
    }
}

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

    #[test]
    fn what_is_no_rule_is_refused() {
        for (text, error) in [
            ("gpu", "should be PUBLISHER=SELECTOR"),
            ("=pool=gpu", "should be PUBLISHER=SELECTOR"),
        ] {
            assert_eq!(text.parse::<Allow>().unwrap_err().to_string(), error);
        }
        assert!("gpu=pool==a==b".parse::<Allow>().is_err());
    }
}
