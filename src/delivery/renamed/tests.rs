use super::*;

#[test]
fn redirects_are_followed_only_within_the_same_gitea_api() {
    let endpoint = "https://git.example.com";
    let new = "/api/v1/repos/acme/till/statuses/ab";
    let url = format!("{endpoint}{new}");
    for location in
        [new, &url, &format!("https://git.example.com:443{new}"), &format!("https://GIT.example.com{new}")]
    {
        assert_eq!(moved_to(endpoint, location), Some(url.clone()), "{location}");
    }
    let below = moved_to("https://example.com/git", "/git/api/v1/repos/acme/till/statuses/ab");
    assert_eq!(below.as_deref(), Some("https://example.com/git/api/v1/repos/acme/till/statuses/ab"));
    for location in [
        "https://evil.example.com/api/v1/repos/acme/till/statuses/ab",
        "http://git.example.com/api/v1/repos/acme/till/statuses/ab",
        "https://git.example.com:8443/api/v1/repos/acme/till/statuses/ab",
        "https://git.example.com@evil.example.com/api/v1/repos/a/b",
        "https://x@git.example.com/api/v1/repos/a/b",
        "//evil.example.com/api/v1/repos/a/b",
        "/api/v1/user/tokens",
        "/api/v1/repos/../user/tokens",
        "/api/v1/repos/%2e%2E/user/tokens",
        "/api/v1/repos/..%2fuser",
        "/api/v1/repos//a/b",
        "/api/v1/repos/a/b?token=x",
        "/user/login",
        "statuses/ab",
        "",
        "https://git.example.com",
    ] {
        assert_eq!(moved_to(endpoint, location), None, "{location}");
    }
    assert_eq!(moved_to("https://example.com/git", new), None, "another path on the same host");
}
