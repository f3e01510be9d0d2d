//! Functions take their arguments by name. A pair of unrelated values as one argument hides what
//! they are where the function is called.

use super::{
    repository::{files, has_end, read},
    tokens::{Token, all_tokens},
};

/// The sources of what is released.
const PRODUCT: [&str; 7] = [
    "apiserver/src/",
    "cli/src/",
    "crates/kubeconfig/src/",
    "crates/model/src/",
    "crates/runtime/src/",
    "proto/src/",
    "scraper/src/",
];

/// The lines on which a parameter is a pattern of names in parentheses, with a tuple as type.
fn tuples(source: &str) -> Vec<usize> {
    let all = all_tokens(source);
    let sign = |at: usize, wanted: char| matches!(all.get(at), Some((_, Token::Sign(sign))) if *sign == wanted);
    let name = |at: usize| matches!(all.get(at), Some((_, Token::Name(_))));
    let mut found = Vec::new();
    for (at, (line, _)) in all.iter().enumerate() {
        let is_parameter = at > 0 && (sign(at - 1, '(') || sign(at - 1, ','));
        if !is_parameter || !sign(at, '(') || !name(at + 1) || !sign(at + 2, ',') {
            continue;
        }
        let mut end = at + 1;
        while name(end) || sign(end, ',') {
            end += 1;
        }
        let type_at = end + 2 + usize::from(sign(end + 2, '&'));
        if sign(end, ')') && sign(end + 1, ':') && sign(type_at, '(') {
            found.push(*line);
        }
    }
    found
}

#[test]
fn a_parameter_that_is_a_tuple_is_found() {
    let source = "fn a(x: u8, (y, z): (u8, u8)) {}\nfn b(\n    (c, mut d): &(E, F),\n) {}\n\
        fn c(pair: (u8, u8)) {\n    let (x, y): (u8, u8) = pair;\n    d(x, (x, y));\n}\n";
    assert_eq!(tuples(source), [1, 3]);
}

#[test]
fn functions_of_the_product_take_arguments_by_name() {
    let is_product = |path: &String| {
        let is_released = PRODUCT.iter().any(|directory| path.starts_with(directory));
        is_released && has_end(path, "rs") && !path.contains("tests")
    };
    let mut found = Vec::new();
    for path in files().into_iter().filter(is_product) {
        let lines = tuples(&read(&path)).into_iter();
        found.extend(lines.map(|line| format!("{path}:{line}")));
    }
    assert_eq!(found, [""; 0]);
}
