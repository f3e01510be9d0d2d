//! Reads from the sources of a crate which modules use which others.

use std::{fs, path::Path};

use super::tokens::{Token, all_tokens};

/// A path in the source that begins with `crate`, `super` or `self`.
#[derive(Debug)]
pub(crate) struct Import {
    /// The file, below the directory of the sources.
    pub(crate) file: String,
    /// The module of the file. It is empty for `lib.rs`.
    pub(crate) by: Vec<String>,
    /// The used module or item, from the root of the crate.
    pub(crate) of: Vec<String>,
    /// Whether it is in test code only.
    pub(crate) test: bool,
}

/// The modules of the files below `source`.
pub(crate) fn modules(source: &Path) -> Vec<Vec<String>> {
    let files = files(source);
    files.iter().map(|file| module_of(file)).collect()
}

/// All imports of the files below `source`.
pub(crate) fn imports(source: &Path) -> Vec<Import> {
    let of_file = |file: String| {
        let text = fs::read_to_string(source.join(&file)).unwrap();
        let tokens = all_tokens(&text);
        let tokens: Vec<Token<'_>> = tokens.into_iter().map(|(_, token)| token).collect();
        let by = module_of(&file);
        let found = Reader::read(&tokens, &by);
        found
            .into_iter()
            .map(|(of, inside)| Import {
                test: by.iter().chain(&inside).any(|name| name == "tests"),
                file: file.clone(),
                by: by.clone(),
                of,
            })
            .collect::<Vec<_>>()
    };
    files(source).into_iter().flat_map(of_file).collect()
}

/// The files of the library, sorted.
fn files(source: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = vec![source.to_owned()];
    while let Some(directory) = next.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                next.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let path = path.strip_prefix(source).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.retain(|file| file != "main.rs");
    found.sort_unstable();
    found
}

fn module_of(file: &str) -> Vec<String> {
    match file.trim_end_matches(".rs") {
        "lib" => Vec::new(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// Each path, with the modules inside the file that contain it.
    found: Vec<(Vec<String>, Vec<String>)>,
}

impl<'a> Reader<'a> {
    fn read(tokens: &'a [Token<'a>], module: &[String]) -> Vec<(Vec<String>, Vec<String>)> {
        let (at, found) = (0, Vec::new());
        let mut reader = Self { tokens, at, found };
        // For each open brace: the module that it begins, if it begins one.
        let mut open: Vec<Option<String>> = Vec::new();
        while let Some(token) = tokens.get(reader.at) {
            match (token, tokens.get(reader.at + 1)) {
                (Token::Name("mod"), Some(Token::Name(name)))
                    if tokens.get(reader.at + 2) == Some(&Token::Sign('{')) =>
                {
                    open.push(Some((*name).to_owned()));
                    reader.at += 3;
                }
                (Token::Sign('{'), _) => {
                    open.push(None);
                    reader.at += 1;
                }
                (Token::Sign('}'), _) => {
                    drop(open.pop());
                    reader.at += 1;
                }
                (Token::Name("crate" | "super" | "self"), Some(Token::Sign(':')))
                    if reader.is_path() =>
                {
                    let inside: Vec<String> = open.iter().flatten().cloned().collect();
                    let base = [module, inside.as_slice()].concat();
                    reader.path(base, &inside);
                }
                _ => reader.at += 1,
            }
        }
        reader.found
    }

    /// Whether a path with several names begins here.
    fn is_path(&self) -> bool {
        let colon = Some(&Token::Sign(':'));
        let is_inside = self.at > 1
            && self.tokens.get(self.at - 1) == colon
            && self.tokens.get(self.at - 2) == colon;
        !is_inside && self.tokens.get(self.at + 2) == colon
    }

    /// Reads a path relative to `base`, with all paths in braces at its end.
    fn path(&mut self, mut base: Vec<String>, inside: &[String]) {
        loop {
            match self.tokens.get(self.at) {
                Some(Token::Name("crate")) => base.clear(),
                Some(Token::Name("super")) => drop(base.pop()),
                Some(Token::Name("self")) => {}
                Some(Token::Name(name)) => base.push((*name).to_owned()),
                Some(Token::Sign('{')) => {
                    self.at += 1;
                    return self.paths(&base, inside);
                }
                _ => break,
            }
            self.at += 1;
            if self.tokens.get(self.at) != Some(&Token::Sign(':')) {
                break;
            }
            self.at += 2;
        }
        self.found.push((base, inside.to_vec()));
    }

    fn paths(&mut self, base: &[String], inside: &[String]) {
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Sign('}') => {
                    self.at += 1;
                    return;
                }
                Token::Name("as") => self.at += 2,
                Token::Name(_) | Token::Sign('{') => self.path(base.to_vec(), inside),
                _ => self.at += 1,
            }
        }
    }
}
