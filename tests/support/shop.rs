//! A policy and its tests, of which most fail.

use super::Sandbox;

pub const SHOP: &str = r#"
fn decide(update) {
    if update.branch == "production" {
        return mark(#{ kind: "deployment", environment: "production", attributes: #{ ticket: update.trailers.ticket } });
    }
    if update.branch == "broken" {
        return update.brnch;
    }
    if update.version == () {
        return skip("neither production nor a version");
    }
    true
}
"#;

pub const FAILING: &str = r#"# The shop.

[[service]]
name = "checkout"
paths = ["services/checkout/**"]

# Goes to production.
[[test]]
name = "production is deployed"   # as it should be
update.branch = "production"
update.commits = [{ message = "Pay\n\nTicket: ACME-7", files = { "services/checkout/pay" = "1" } }]
expect.markers = [
    # the one
    { kind = "deployment", service = "search", environment = "prod", attributes = { ticket = "ACME-8", no = false } }, # behind
    { kind = "release" },
]

[[test]]
name = "no output"
update.tag = "v1.0.0"

[[test]]
name = "of two updates neither"
update = [{ tag = "v1.0.0" }, { branch = "topic", commits = [{}] }]

[[test]]
name = "it ends otherwise"
update.branch = "production"
update.commits = [{}]
[test.expect]
outcome = "skipped" # not so
why = "because"

[[test]]
name = "the policy fails"
update.branch = "broken"
expect.outcome = "marked"

[[test]]
name = "it fails for another reason"
update.branch = "broken"
expect.outcome = "failed"
expect.why = "who knows"

[[test]]
name = "the guard refuses"
update.tag = "checkout/v1.0.0-secret"
expect.outcome = "refused"
expect.by = "site.rhai"
expect.why = "it stays secret"

[[test]]
name = "one marker too few"
[test.push]
pusher = false
[[test.update]]
tag = "v1.0.0"
[[test.update]]
tag = "v2.0.0"
[[test.expect]]
[[test.expect.markers]]
kind = "change" # a release, rather
service = "checkout"
by = "acme/shop.rhai:4"
[[test.expect]]
markers = []
"#;

/// Creates a sandbox with the policy and its tests.
pub fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    let guard = r#"fn guard(marker, update) { if marker.version == "1.0.0-secret" { return refuse("it stays secret"); } }"#;
    sandbox.write("scripts/site.rhai", guard);
    sandbox.write("scripts/acme/shop.rhai", SHOP);
    sandbox.write("scripts/acme/shop.test.toml", FAILING);
    sandbox
}
