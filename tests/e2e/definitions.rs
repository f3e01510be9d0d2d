//! Reads from the sources what they define.

use crate::{
    repository::{files, has_end, read},
    tokens::{Token, all_tokens},
};

/// A function, type, constant, module, field or variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The file, from the root of the repository.
    pub(crate) file: String,
    /// The crate and the modules that contain it. `tests` alone for tests.
    pub(crate) module: Vec<String>,
    /// The type that has it, if it is a method, a field or a variant.
    pub(crate) of: Option<String>,
    pub(crate) name: String,
}

/// Where the sources of a crate are, and how paths in documents begin.
const CRATES: [(&str, &str); 12] = [
    ("apiserver/src/", "apiserver"),
    ("cli/src/", "cli"),
    ("crates/demo/src/", "demo"),
    ("crates/kubeconfig/src/", "kubeconfig"),
    ("crates/model/src/", "model"),
    ("crates/runtime/src/", "runtime"),
    ("crates/sim/src/", "sim"),
    ("proto/src/", "proto"),
    ("scraper/src/", "scraper"),
    ("apiserver/tests/", "tests"),
    ("scraper/tests/", "tests"),
    ("tests/", "tests"),
];

/// All definitions. The module of those of tests begins with `tests`.
pub(crate) fn definitions() -> Vec<Definition> {
    let mut found = Vec::new();
    for file in files() {
        let of_crate = CRATES.iter().find(|(path, _)| file.starts_with(path));
        if let (Some((path, name)), true) = (of_crate, has_end(&file, "rs")) {
            let inside = file.trim_start_matches(path).trim_end_matches(".rs");
            let modules = inside.split('/').filter(|name| *name != "lib");
            let module: Vec<String> = std::iter::once(*name)
                .chain(modules)
                .map(str::to_owned)
                .collect();
            let mut of_file = of_source(&file, &module, &read(&file));
            if module.iter().any(|name| name == "tests") {
                for definition in &mut of_file {
                    definition.module = vec!["tests".to_owned()];
                }
            }
            found.extend(of_file);
        } else if has_end(&file, "proto") {
            found.extend(messages(&file, &read(&file)));
        }
    }
    found
}

/// The messages of a schema.
fn messages(file: &str, text: &str) -> Vec<Definition> {
    let names = text.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("message ")?;
        rest.split_whitespace().next()
    });
    let definition = |name: &str| Definition {
        file: file.to_owned(),
        module: vec!["proto".to_owned()],
        of: None,
        name: name.to_owned(),
    };
    names.map(definition).collect()
}

/// The definitions of a source that is the module `module`.
fn of_source(file: &str, module: &[String], text: &str) -> Vec<Definition> {
    let tokens: Vec<Token<'_>> = all_tokens(text).into_iter().map(|(_, it)| it).collect();
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        file,
        module: module.to_vec(),
        found: Vec::new(),
    };
    reader.items(None);
    // The file is a module, too.
    if let Some((name, outer)) = module.split_last() {
        let outer = (outer.to_vec(), None);
        reader.add(name, outer);
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    file: &'a str,
    module: Vec<String>,
    found: Vec<Definition>,
}

impl<'a> Reader<'a> {
    /// Reads items to the end of the file, or to the brace that ends a module or an `impl`.
    fn items(&mut self, of: Option<&str>) {
        while let Some(token) = self.next() {
            match token {
                Token::Sign('}') => return,
                Token::Sign('#') => self.attribute(),
                Token::Sign('{') => self.skip_to('}'),
                Token::Name("macro_rules") => self.skip_block(),
                Token::Name("use") => self.skip_to(';'),
                Token::Name("mod") => self.module(),
                Token::Name("impl") => {
                    if let Some(name) = self.implementor() {
                        self.items(Some(name));
                    }
                }
                Token::Name("fn") => {
                    self.name(of);
                    self.skip_block();
                }
                Token::Name("const" | "static" | "type")
                    if self.peek() != Some(Token::Name("fn")) =>
                {
                    self.name(of);
                    self.skip_to(';');
                }
                Token::Name("struct" | "enum" | "trait") => self.type_with_members(token),
                _ => {}
            }
        }
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn add(&mut self, name: &str, (module, of): (Vec<String>, Option<&str>)) {
        self.found.push(Definition {
            file: self.file.to_owned(),
            module,
            of: of.map(str::to_owned),
            name: name.to_owned(),
        });
    }

    /// Adds the name that follows.
    fn name(&mut self, of: Option<&str>) -> Option<&'a str> {
        let Some(Token::Name(name)) = self.next() else {
            return None;
        };
        let module = self.module.clone();
        self.add(name, (module, of));
        Some(name)
    }

    /// Skips to a sign outside of brackets, and over it.
    fn skip_to(&mut self, end: char) {
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token {
                Token::Sign(sign) if sign == end && depth == 0 => return,
                Token::Sign('(' | '[' | '{') => depth += 1,
                Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// Skips a block, or the semicolon that stands instead of one.
    fn skip_block(&mut self) {
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token {
                Token::Sign(';') if depth == 0 => return,
                Token::Sign('{') if depth == 0 => return self.skip_to('}'),
                Token::Sign('(' | '[') => depth += 1,
                Token::Sign(')' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn attribute(&mut self) {
        if self.peek() == Some(Token::Sign('!')) {
            self.at += 1;
        }
        if self.peek() == Some(Token::Sign('[')) {
            self.at += 1;
            self.skip_to(']');
        }
    }

    fn module(&mut self) {
        let Some(name) = self.name(None) else {
            return;
        };
        if self.next() == Some(Token::Sign('{')) {
            let outer = self.module.clone();
            if name == "tests" {
                self.module.clear();
            }
            self.module.push(name.to_owned());
            self.items(None);
            self.module = outer;
        }
    }

    /// The type of an `impl`, to its opening brace: the last name before its own parameters.
    fn implementor(&mut self) -> Option<&'a str> {
        let (mut name, mut depth, mut is_over) = (None, 0_usize, false);
        let mut before = None;
        while let Some(token) = self.next() {
            match token {
                Token::Sign('{') => return name,
                Token::Sign('<') => depth += 1,
                Token::Sign('>') if before != Some(Token::Sign('-')) => {
                    depth = depth.saturating_sub(1);
                }
                Token::Name("where") => is_over = true,
                Token::Name("for" | "dyn" | "mut") => {}
                Token::Name(new) if depth == 0 && !is_over => name = Some(new),
                _ => {}
            }
            before = Some(token);
        }
        None
    }

    /// A type with its fields, variants or methods.
    fn type_with_members(&mut self, kind: Token<'a>) {
        let Some(name) = self.name(None) else {
            return;
        };
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token {
                Token::Sign(';') if depth == 0 => return,
                Token::Sign('{') if depth == 0 => break,
                Token::Sign('(' | '[') => depth += 1,
                Token::Sign(')' | ']') => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        match kind {
            Token::Name("trait") => self.items(Some(name)),
            Token::Name("enum") => self.members(name, false),
            _ => self.members(name, true),
        }
    }

    /// Fields, which have a colon, or variants, to the brace at the end.
    fn members(&mut self, of: &str, have_colon: bool) {
        let mut depth = 0_usize;
        let mut is_new = true;
        let mut before = None;
        while let Some(token) = self.next() {
            match token {
                Token::Sign('}') if depth == 0 => return,
                Token::Sign('#') if depth == 0 => self.attribute(),
                Token::Sign(',') if depth == 0 => is_new = true,
                Token::Sign('(' | '[' | '{' | '<') => depth += 1,
                Token::Sign('>') if before == Some(Token::Sign('-')) => {}
                Token::Sign(')' | ']' | '}' | '>') => depth = depth.saturating_sub(1),
                Token::Name(name) if depth == 0 && is_new && name != "pub" => {
                    let is_member = !have_colon || self.peek() == Some(Token::Sign(':'));
                    if is_member {
                        let module = self.module.clone();
                        self.add(name, (module, Some(of)));
                        is_new = false;
                    }
                }
                _ => {}
            }
            before = Some(token);
        }
    }
}

#[test]
fn what_a_source_defines_is_read() {
    let source = r#"
        use a::{b, c};
        mod other;
        pub(crate) const MOST: [u8; 2] = [1, 2];
        macro_rules! m { ($a:ident) => { fn no() {} }; }
        #[derive(Debug)]
        pub struct Pair<T: Fn() -> u8> where T: Send {
            /// A comment.
            #[serde(default)]
            pub(super) left: Vec<(T, u8)>,
            right: fn(a: u8) -> u8,
        }
        struct Unit(u8);
        enum Kind { First(u8), #[other] Second { inside: u8 }, Third }
        trait Named { const KIND: Kind; fn name(&self) -> &str { "fn no() {" } }
        impl<T: Fn() -> u8> Pair<T> {
            pub async fn take(&self, f: impl Fn(u8)) -> Result<(), [u8; 3]> { fn no() {} if x { } }
            const fn free() {}
        }
        impl<'a, T> std::fmt::Display for deep::Pair<T> where T: Named { fn fmt(&self) {} }
        mod inner { pub(crate) fn deep() {} }
        fn last() {}
        mod tests { fn of_tests() {} }
    "#;
    let found = of_source("f.rs", &["c".to_owned(), "m".to_owned()], source);
    let shown = |it: &Definition| {
        let of = it.of.as_ref().map(|of| format!("{of}::"));
        let module = it.module.join("::");
        format!("{module}::{}{}", of.unwrap_or_default(), it.name)
    };
    let found: Vec<String> = found.iter().map(shown).collect();
    assert_eq!(
        found,
        [
            "c::m::other",
            "c::m::MOST",
            "c::m::Pair",
            "c::m::Pair::left",
            "c::m::Pair::right",
            "c::m::Unit",
            "c::m::Kind",
            "c::m::Kind::First",
            "c::m::Kind::Second",
            "c::m::Kind::Third",
            "c::m::Named",
            "c::m::Named::KIND",
            "c::m::Named::name",
            "c::m::Pair::take",
            "c::m::Pair::free",
            "c::m::Pair::fmt",
            "c::m::inner",
            "c::m::inner::deep",
            "c::m::last",
            "c::m::tests",
            "tests::of_tests",
            "c::m",
        ]
    );
}
