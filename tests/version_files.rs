//! Versions in files of every format, through the hook: what each file gives, what is not a version,
//! symbolic links, and hostile files.

use std::{fs, os::unix::fs::symlink};

use serde_json::Value;

use crate::support::Sandbox;

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry[key].as_str().unwrap_or_default()
}

/// Pushes the links (path, target) and returns the version of a file, with its problem.
fn linked(files: &[(&str, &str)], links: &[(&str, &str)], file: &str) -> (String, String) {
    let sandbox = Sandbox::new();
    sandbox.configure(&format!(
        "[[service]]\nrepository = \"acme/*\"\nname = \"pay\"\nversion = {{ file = \"{file}\" }}\n"
    ));
    for (path, content) in files {
        sandbox.write(&format!("clone/{path}"), content);
    }
    for (path, target) in links {
        let path = sandbox.path("clone").join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        symlink(target, path).expect("a link");
    }
    let commit = sandbox.commit("Links", &[]);
    sandbox.push(&["main"]).succeeded();
    let markers = sandbox.waiting("unassigned");
    let missing = text(&sandbox.decisions().pop().expect("a decision"), "missing").to_string();
    let version = text(&markers[0], "version").replace(&commit, "COMMIT");
    (version, missing)
}

#[test]
fn symbolic_links_inside_the_tree_are_followed() {
    let files = [("VERSION", "1.2.3\n"), ("services/pay/VERSION", "4.5.6\n")];
    for (links, file, expected) in [
        (&[("services/link/VERSION", "../../VERSION")][..], "services/link/VERSION", "1.2.3"),
        (&[("link", "services/pay/VERSION")], "link", "4.5.6"),
        (&[("link", "services//./pay")], "link/VERSION", "4.5.6"),
        (&[("services/a", "pay"), ("b", "services/a")], "b/VERSION", "4.5.6"),
        (&[("a", "b"), ("b", "c"), ("c", "VERSION")], "a", "1.2.3"),
        (&[("d/e", "../services/../services/pay/../../VERSION")], "d/e", "1.2.3"),
    ] {
        assert_eq!(linked(&files, links, file), (expected.into(), String::new()), "{links:?}");
    }
    let eight: Vec<_> = (0..8)
        .map(|n| (format!("l{n}"), if n == 7 { "VERSION".into() } else { format!("l{}", n + 1) }))
        .collect();
    let eight: Vec<_> = eight.iter().map(|(path, target)| (path.as_str(), target.as_str())).collect();
    assert_eq!(linked(&files, &eight, "l0").0, "1.2.3");
    let nine = [&[("first", "l0")][..], &eight].concat();
    let (version, why) = linked(&files, &nine, "first");
    assert_eq!(version, "COMMIT");
    assert!(why.contains("`first`") && why.contains("more than 8 links"), "{why}");
}

#[test]
fn links_that_leave_the_tree_or_go_in_circles_are_errors() {
    let outside = "`link`: a symbolic link on its path leads out of the repository";
    for (links, why) in [
        (&[("link", "/etc/hostname")][..], "has the absolute target `/etc/hostname`"),
        (&[("link", "../VERSION")], outside),
        (&[("link", "services/../../VERSION")], outside),
        (&[("link", "a"), ("a", "../../x")], outside),
        (&[("link", "link")], "more than 8 links"),
        (&[("link", "a"), ("a", "link")], "more than 8 links"),
        (&[("link", "a/x"), ("a", "a")], "more than 8 links"),
        (&[("link", "gone")], "there is no `link` at this commit"),
        (&[("link", "services")], "there is no `link` at this commit"),
        (&[("link", "VERSION/x")], "there is no `link` at this commit"),
    ] {
        let files = [("VERSION", "1\n"), ("services/VERSION", "2\n")];
        let (version, said) = linked(&files, links, "link");
        assert_eq!(version, "COMMIT", "{links:?}");
        assert!(said.contains(why), "{links:?}: {said}");
    }
}
