//! The value of `--bus-allow`.

use std::str::FromStr;

use tributary_runtime::selector::{BadSelector, Selector};

/// One `--bus-allow`: a publisher and the labels of its nodes.
#[derive(Clone, Debug)]
pub struct Allow {
    pub(crate) publisher: String,
    pub(crate) nodes: Selector,
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

#[cfg(test)]
mod tests {
    use super::*;

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
