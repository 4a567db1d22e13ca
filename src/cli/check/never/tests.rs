use super::*;

/// Asserts the fix of each pattern. `None` means that the pattern can match.
#[track_caller]
fn assert_fixes(never: fn(&str) -> Option<NeverMatches>, cases: &[(&str, Option<&str>)]) {
    for (pattern, fix) in cases {
        let found = never(pattern).map(|found| found.fix);
        let expected = fix.map(|fix| match fix.contains(' ') {
            true => fix.to_string(),
            false => format!("write \"{fix}\""),
        });
        assert_eq!(found, expected, "{pattern:?}");
    }
}

#[test]
fn paths_that_never_match_are_found() {
    assert_fixes(
        path_never_matches,
        &[
            ("services/checkout", Some("services/checkout/**")),
            ("services/checkout/", Some("services/checkout/**")),
            ("services/*/api", Some("services/*/api/**")),
            ("src/Acme.Checkout", Some("src/Acme.Checkout/**")),
            ("charts/v1.2", Some("charts/v1.2/**")),
            ("/services/**", Some("services/**")),
            ("/", Some("remove `paths`")),
            (".", Some("remove `paths`")),
            ("/services/checkout", Some("services/checkout/**")),
            ("./x/**", Some("x/**")),
            ("../x/**", Some("x/**")),
            ("x//y/**", Some("x/y/**")),
            ("x/./y/**", Some("x/y/**")),
            ("services\\checkout\\**", Some("services/checkout/**")),
            ("!x", Some("remove it, and list only what belongs to the service")),
            ("", Some("remove it")),
            (" x/**", Some("x/**")),
            (
                "https://git.example.org/acme/shop",
                Some("write the path inside the repository, such as \"services/checkout/**\""),
            ),
            ("**", None),
            ("services/**", None),
            ("services/*", None),
            ("services/checkout/*.rs", None),
            ("services/checkou[t]", None),
            ("Cargo.toml", None),
            ("go.mod", None),
            ("a/Makefile", None),
            ("Dockerfile", None),
            ("LICENSE", None),
            (".gitignore", None),
            (".github/**", None),
            ("a\\*b/c.rs", None),
            ("päth/ü.txt", None),
        ],
    );
}

#[test]
fn repositories_that_never_match_are_found() {
    assert_fixes(
        repository_never_matches,
        &[
            ("shop", Some("*/shop")),
            ("*", Some("*/*")),
            ("/shop", Some("*/shop")),
            ("acme/", Some("acme/*")),
            ("/acme/shop", Some("acme/shop")),
            ("acme/shop/", Some("acme/shop")),
            ("acme/shop.git", Some("acme/shop")),
            ("git/acme/shop", Some("acme/shop")),
            ("acme//shop", Some("acme/shop")),
            ("https://git.example.org/acme/shop.git", Some("acme/shop")),
            ("https://git.example.org/acme/shop/", Some("acme/shop")),
            ("ssh://git@git.example.org:2222/acme/shop", Some("acme/shop")),
            ("git@git.example.org:acme/shop.git", Some("acme/shop")),
            ("!acme/shop", Some("remove it, and list only what belongs to the service")),
            ("acme/shop", None),
            ("acme/*", None),
            ("*/*", None),
            ("**", None),
            ("acme/**", None),
        ],
    );
    assert!(repository_never_matches("shop").is_some_and(|found| found.is_gitea_only));
    assert!(repository_never_matches("acme/").is_some_and(|found| !found.is_gitea_only));
}

#[test]
fn refs_that_never_match_are_found() {
    assert_fixes(
        ref_never_matches,
        &[
            ("release/", Some("release/**")),
            ("refs/heads/release/", Some("refs/heads/release/**")),
            ("/main", Some("main")),
            ("./main", Some("main")),
            ("heads/main", Some("refs/heads/main")),
            ("tags/v*", Some("refs/tags/v*")),
            ("refs/main", Some("refs/heads/main")),
            ("refs/remotes/origin/main", Some("refs/heads/main")),
            ("!main", Some("remove it, and list only what belongs to the service")),
            ("main ", Some("main")),
            ("https://x/main", Some("write the name of a branch or a tag, such as \"main\" or \"v*\"")),
            ("main", None),
            ("release/*", None),
            ("release/**", None),
            ("refs/heads/main", None),
            ("refs/tags/v*", None),
            ("refs/*/main", None),
            ("refs/**", None),
            ("v*", None),
            ("checkout/v1", None),
        ],
    );
}
