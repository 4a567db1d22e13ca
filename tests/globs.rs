//! Glob patterns, compared with git's own matching.

use gitea_lightstep::internals::is_match;

use crate::support::Sandbox;

#[test]
fn glob_patterns_match_like_git() {
    let sandbox = Sandbox::new();
    let id = sandbox.commit("Anything", &[]);
    sandbox.git(&["push", "-q", "origin", "main"]);
    let mut drawn = fastrand::Rng::with_seed(11);
    let mut draw = |of: &[&str], most: usize| -> String {
        (0..drawn.usize(1..=most)).map(|_| of[drawn.usize(..of.len())]).collect()
    };
    // `git for-each-ref` matches full ref names, like gitattributes and pathspecs match paths.
    let mut names: Vec<String> = (0..400)
        .map(|_| format!("refs/x/{}", draw(&["a", "b", "/", "-", "]", "!", "A", "7"], 9)))
        .filter(|name| !name.contains("//") && !name.ends_with('/'))
        .collect();
    names.sort();
    names.dedup();
    // A ref name cannot be a directory of another one.
    let all = names.clone();
    names.retain(|name| !all.iter().any(|other| other.starts_with(&format!("{name}/"))));
    assert!(names.len() > 100, "{}", names.len());
    let packed: String = names.iter().map(|name| format!("{id} {name}\n")).collect();
    sandbox.write(
        "git/acme/shop.git/packed-refs",
        format!("# pack-refs with: peeled fully-peeled sorted \n{packed}"),
    );
    let parts = [
        "*",
        "**",
        "/",
        "**/",
        "/**",
        "?",
        "a",
        "b",
        "7",
        "[ab]",
        "[!a]",
        "[]-]",
        "[[:digit:]]",
        "[a-b-]",
        "[",
        "\\",
        "-",
        "A",
    ];
    let mut matched = 0;
    for nth in 0..600 {
        let begin = ["refs/x/", "refs/x/", "refs/*/", "**/", ""][nth % 5];
        let pattern = format!("{begin}{}", draw(&parts, 7));
        let listed =
            sandbox.git_in(&sandbox.bare(), &["for-each-ref", "--format=%(refname)", "--", &pattern]);
        for name in &names {
            // In for-each-ref, a pattern also matches everything below it. This implementation does
            // not.
            if name.strip_prefix(&pattern).is_some_and(|rest| pattern.ends_with('/') || rest.starts_with('/'))
            {
                continue;
            }
            let expected = listed.lines().any(|line| line == name);
            assert_eq!(is_match(&pattern, name.as_bytes()), expected, "{pattern} {name}");
            matched += usize::from(expected);
        }
    }
    assert!(matched > 1000, "{matched}");
}
