//! Rule: the modules of a crate do not use each other in a circle.
//!
//! Modules are the files and directories right under `src/`: what `foo.rs` and `foo/` do among themselves is their
//! own affair. A path counts wherever it is written, in a `use` or in code; a name that the crate root re-exports counts
//! as the module it comes from. The root itself is no module here: it only lists and re-exports.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::{
    Finding,
    imports::{use_paths, uses},
    tree::{Rust, Tree, is_test_path},
};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<(&str, &Rust)>> = BTreeMap::new();
    for (path, rust) in tree.rust().filter(|(path, rust)| !rust.is_test && !is_test_path(path)) {
        if let Some((package, _)) = path.split_once("/src/") {
            crates.entry(package).or_default().push((path, rust));
        }
    }
    crates.into_iter().filter_map(|(package, files)| Graph::new(package, &files).circle()).collect()
}

/// Which module uses which, with one place for each edge.
struct Graph<'t> {
    edges: BTreeMap<String, BTreeMap<String, (&'t str, usize)>>,
}

impl<'t> Graph<'t> {
    fn new(package: &str, files: &[(&'t str, &Rust)]) -> Self {
        let places: Vec<(Place, &'t str, &Rust)> =
            files.iter().filter_map(|(path, rust)| Some((Place::of(package, path)?, *path, *rust))).collect();
        let modules: BTreeSet<&str> = places.iter().filter_map(|(place, ..)| place.first()).collect();
        let mut root_names = BTreeMap::new();
        for (_, _, rust) in places.iter().filter(|(place, ..)| place.first().is_none()) {
            root_names.extend(reexports(rust));
        }
        let module_of = |name: &str| {
            let origin = root_names.get(name).map_or(name, String::as_str);
            modules.get(origin).map(|module| (*module).to_owned())
        };

        let mut edges: BTreeMap<String, BTreeMap<String, (&'t str, usize)>> = BTreeMap::new();
        for (place, path, rust) in &places {
            let Some(from) = place.first() else { continue };
            for (name, line) in named_from_root(place, rust) {
                if let Some(to) = module_of(&name).filter(|to| to != from) {
                    edges.entry(from.to_owned()).or_default().entry(to).or_insert((path, line));
                }
            }
        }
        Self { edges }
    }

    /// One circle, if there is any, told at the place of its first edge.
    fn circle(&self) -> Option<Finding> {
        let mut done = BTreeSet::new();
        let trail = self.edges.keys().find_map(|start| self.walk(start, &mut Vec::new(), &mut done))?;
        let told: Vec<String> = trail
            .windows(2)
            .filter_map(|pair| {
                let [from, to] = pair else { return None };
                let (path, line) = self.edges.get(from)?.get(to)?;
                Some(format!("{from} uses {to} ({path}:{line})"))
            })
            .collect();
        let (path, line) = self.edges.get(trail.first()?)?.get(trail.get(1)?)?;
        Some(Finding::new(path, *line, format!("modules in a circle: {}", told.join(", "))))
    }

    /// Depth first; answers the circle as a trail whose last module is its first.
    fn walk(&self, module: &str, trail: &mut Vec<String>, done: &mut BTreeSet<String>) -> Option<Vec<String>> {
        if let Some(start) = trail.iter().position(|earlier| earlier == module) {
            let circle = trail.iter().skip(start).cloned().chain([module.to_owned()]);
            return Some(circle.collect());
        }
        if done.contains(module) {
            return None;
        }
        trail.push(module.to_owned());
        let found =
            self.edges.get(module).into_iter().flat_map(BTreeMap::keys).find_map(|to| self.walk(to, trail, done));
        trail.pop();
        done.insert(module.to_owned());
        found
    }
}

/// The module path of a file under the crate root; empty for `lib.rs` and `main.rs`.
struct Place(Vec<String>);

impl Place {
    fn of(package: &str, path: &str) -> Option<Self> {
        let inside = path.strip_prefix(package)?.strip_prefix("/src/")?.strip_suffix(".rs")?;
        // A program under `bin/` is a crate of its own that uses ours by its name.
        if inside.starts_with("bin/") {
            return None;
        }
        let is_root = inside == "lib" || inside == "main";
        Some(Self(if is_root { Vec::new() } else { inside.split('/').map(str::to_owned).collect() }))
    }

    fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }
}

/// The names this crate root gives to items of its modules: `pub use a::B` makes `B` a name of `a`.
fn reexports(root: &Rust) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for used in uses(root).into_iter().flat_map(|start| use_paths(root, start)) {
        let mut segments = used.segments.iter().filter(|segment| *segment != "crate" && *segment != "self");
        if let Some(module) = segments.next() {
            names.insert(used.name, module.clone());
        }
    }
    names
}

/// Every name of the crate root that the file's product code says, with its line: `crate::name` and `super::…::name`.
fn named_from_root(place: &Place, rust: &Rust) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    for used in uses(rust).into_iter().flat_map(|start| use_paths(rust, start)) {
        names.extend(from_root(place, &used.segments).map(|name| (name, used.line)));
    }
    for (index, token) in rust.product_code() {
        let starts_path = matches!(token.text.as_str(), "crate" | "super") && rust.text(index.wrapping_sub(1)) != "::";
        if !starts_path {
            continue;
        }
        let segments: Vec<String> = (index..rust.code.len())
            .step_by(2)
            .take_while(|at| *at == index || rust.text(at - 1) == "::")
            .map(|at| rust.text(at).to_owned())
            .collect();
        names.extend(from_root(place, &segments).map(|name| (name, token.line)));
    }
    names
}

/// The first segment under the crate root of a path said in `place`.
///
/// Inline modules are not counted: a `super` inside one resolves a level too high, which names no module of the root.
fn from_root(place: &Place, segments: &[String]) -> Option<String> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    let name = match segments.first()?.as_str() {
        "crate" => segments.get(1)?,
        "super" if supers == place.0.len() => segments.get(supers)?,
        _ => return None,
    };
    Some(name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_circle_is_caught_however_the_path_is_written() {
        for back in [
            "use crate::a::A;",
            "use crate::{a::A, c};",
            "use super::a::A;",
            "fn f() { crate::a::f() }",
            "fn f(x: super::a::A) {}",
            "use crate::A;",
        ] {
            let files = [
                ("crates/x/src/lib.rs", "pub mod a;\npub mod b;\npub use a::A;\n"),
                ("crates/x/src/a.rs", "use crate::b::B;\n"),
                ("crates/x/src/b.rs", back),
            ];
            let told = "modules in a circle: a uses b (crates/x/src/a.rs:1), b uses a (crates/x/src/b.rs:1)";
            assert_eq!(found(&files), [told], "{back}");
        }
    }

    #[test]
    fn a_long_circle_through_submodules_is_caught() {
        let files = [
            ("crates/x/src/a/inner.rs", "use super::super::b::B;"),
            ("crates/x/src/b.rs", "use crate::c::C;"),
            ("crates/x/src/c/deep/er.rs", "use crate::a::inner::X;"),
        ];
        assert_eq!(found(&files).len(), 1);
    }

    #[test]
    fn one_direction_own_children_tests_and_other_crates_are_left_alone() {
        let files = [
            (
                "crates/x/src/a.rs",
                "use crate::b::B;\nuse self::inner::I;\n#[cfg(test)]\nmod tests { use crate::c::C; }",
            ),
            ("crates/x/src/a/inner.rs", "use super::A;"),
            ("crates/x/src/b.rs", "use other::a::A; // crate::a::A\nconst S: &str = \"crate::a\";"),
            ("crates/x/src/c.rs", "use crate::a::A;"),
            ("crates/x/src/b/tests.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
