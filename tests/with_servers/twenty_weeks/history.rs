//! The events of the twenty weeks, push by push. `fixtures/twenty-weeks.toml` has the expected
//! markers of each push under the same name.

use std::fs;

use super::shop::{ACTIONS, ANN, BO, CY, MARIA, Shop, Way};

/// Services in the site configuration.
pub const SITE: &str = r#"
[policy]
# The commits are dated in the weeks, and pushed now.
backfill_after = "36500d"
repository_services = ["acme/*"]

[policy.limits]
time = "20s"

[[service]]
repository = "acme/shop"
name = "checkout"
paths = ["services/checkout/**"]
version = { file = "services/checkout/Cargo.toml" }
owner = "team-pay"
links = { runbook = "https://wiki.example.com/runbooks/{service}" }
environments = { staging = "main", production = ["deploy/production"] }

[[service]]
repository = "acme/shop"
name = "search"
paths = ["services/search/**"]
version = { file = "services/search/package.json" }
owner = "team-find"
links = { runbook = "https://wiki.example.com/runbooks/{service}" }
environments = { staging = "main", production = ["deploy/production"] }
"#;

/// The repository's own file: one additional service, and the version files of the others, because
/// builds do not have the site configuration.
const OWN: &str = r#"
[[service]]
name = "web"
paths = ["web/**"]
version = "describe"
owner = "team-web"
links = { page = "https://status.example.com/{service}" }
environments = { staging = "main", production = ["deploy/production", "prod"] }

[[service]]
name = "checkout"
version = { file = "services/checkout/Cargo.toml" }

[[service]]
name = "search"
version = { file = "services/search/package.json" }
"#;

const CARGO: &str = "services/checkout/Cargo.toml";
const PACKAGE: &str = "services/search/package.json";
const MAIN_TO_PRODUCTION: &str = "main:refs/heads/deploy/production";

fn cargo(version: &str) -> String {
    format!("[package]\nname = \"checkout\"\nversion = \"{version}\"\n")
}

fn package(version: &str) -> String {
    format!("{{\"name\": \"search\", \"version\": \"{version}\"}}\n")
}

/// Returns the trailer that Gitea adds to a merge commit.
fn reviewed(number: u32) -> String {
    format!("Reviewed-on: https://git.example.com/acme/shop/pulls/{number}")
}

pub fn play(shop: &mut Shop) {
    begin(shop);
    go_to_production(shop);
    merge_and_revert(shop);
    fix_and_fail(shop);
    move_and_go_back(shop);
    lose(shop);
    release(shop);
}

/// Weeks 1 to 3: three services reach staging.
fn begin(shop: &mut Shop) {
    shop.commit(
        "begin",
        140,
        ANN,
        "Begin a shop",
        &[
            ("README.md", "A shop\n"),
            (CARGO, &cargo("1.0.0")),
            ("services/checkout/src/lib.rs", "// pay\n"),
            (PACKAGE, &package("0.9.0")),
            ("services/search/index.js", "// find\n"),
        ],
    );
    shop.push("the first two services", ANN, Way::Ssh, &["main"]);

    shop.commit("own", 137, BO, "Say what web is", &[(".gitea/lightstep.toml", OWN)]);
    shop.commit("page", 136, BO, "Show a page", &[("web/index.html", "<h1>Shop</h1>\n")]);
    shop.push("a page, by the repository's own file", BO, Way::Http, &["main"]);

    shop.as_of(133, ANN, ANN, &["tag", "-a", "web/v1.0.0", "-m", "The first page"]);
    shop.push("web 1.0.0", ANN, Way::Ssh, &["web/v1.0.0"]);

    shop.sandbox.git(&["checkout", "-q", "-b", "pay-by-card"]);
    let cards = ("services/checkout/src/card.rs", "// a card\n");
    shop.commit("cards", 132, BO, "Take cards\n\nACME-7", &[cards]);
    let tests = ("services/checkout/src/tests.rs", "// a test\n");
    shop.commit(
        "tests",
        131,
        BO,
        "Test what takes cards\n\nCo-authored-by: Cy Coder <cy@example.org>",
        &[tests],
    );
    shop.push("a branch of a pull request", BO, Way::Ssh, &["pay-by-card"]);
    shop.push("its pull ref, which Gitea pushes", BO, Way::PullRef, &["pay-by-card:refs/pull/12/head"]);
    shop.sandbox.git(&["checkout", "-q", "main"]);
    let message = format!(
        "Merge pull request 'Pay by card' (#12) from pay-by-card into main\n\n{}\nReviewed-by: Ann Author <ann@example.org>",
        reviewed(12)
    );
    shop.as_of(130, MARIA, MARIA, &["merge", "-q", "--no-ff", "-m", &message, "pay-by-card"]);
    shop.push("merged: pay by card", MARIA, Way::Merge("12"), &["main"]);

    let message =
        format!("Rank by price (#13)\n\n{}\nCo-authored-by: Claude <noreply@anthropic.com>", reviewed(13));
    let rank = ("services/search/rank.js", "// by price\n");
    shop.commit_for("rank", (127, 126), (CY, ANN), &message, &[rank]);
    shop.push("squashed: rank by price", ANN, Way::Merge("13"), &["main"]);

    shop.commit("v1.1.0", 125, ANN, "Release checkout 1.1.0", &[(CARGO, &cargo("1.1.0"))]);
    shop.as_of(125, ANN, ANN, &["tag", "-a", "checkout/v1.1.0", "-m", "Cards"]);
    shop.push("checkout 1.1.0, branch and tag at once", ANN, Way::Ssh, &["main", "checkout/v1.1.0"]);

    let bigger = ("web/buttons.css", "big\n");
    shop.commit_for("bigger", (124, 122), (CY, MARIA), "Use bigger buttons", &[bigger]);
    let greener = ("web/buttons.css", "big green\n");
    shop.commit_for("greener", (123, 122), (CY, MARIA), "Use greener buttons", &[greener]);
    shop.push("rebased: bigger and greener buttons", MARIA, Way::Merge("14"), &["main"]);
}

/// Weeks 3 to 5.
fn go_to_production(shop: &mut Shop) {
    shop.push("production for the first time", MARIA, Way::Ssh, &[MAIN_TO_PRODUCTION]);

    let prices = [("services/checkout/src/price.rs", "// 1.00\n"), ("services/search/price.js", "// 1.00\n")];
    shop.commit("share", 118, BO, "Share the price format\n\nACME-9", &prices);
    shop.push("one commit over two services", BO, Way::Ssh, &["main"]);

    shop.commit("bump", 116, ACTIONS, "Bump search to 1.0.0", &[(PACKAGE, &package("1.0.0"))]);
    shop.push("a job of Actions", ACTIONS, Way::Job("77"), &["main"]);

    shop.push("production by a deploy key", MARIA, Way::DeployKey("5"), &[MAIN_TO_PRODUCTION]);

    let options = ["-o", "deploy=production", "-o", "deploy.service=checkout", "main:refs/heads/again/1"];
    shop.push("the same commit again", MARIA, Way::Ssh, &options);
}

/// Weeks 5 to 8.
fn merge_and_revert(shop: &mut Shop) {
    shop.sandbox.git(&["checkout", "-q", "-b", "faster"]);
    let index = ("services/search/fast.js", "// an index\n");
    shop.commit_for("index", (107, 105), (BO, ANN), "Index prices", &[index]);
    shop.sandbox.git(&["checkout", "-q", "main"]);
    let message =
        format!("Merge pull request 'Faster search' (#15) from faster into main\n\n{}", reviewed(15));
    shop.as_of(105, ANN, ANN, &["merge", "-q", "--no-ff", "-m", &message, "faster"]);
    shop.push("rebased and merged: faster search", ANN, Way::OldMerge("907"), &["main"]);

    let round = ("services/checkout/src/total.rs", "// rounded\n");
    shop.commit("round", 103, CY, "Round the total", &[round]);
    shop.push("fast-forwarded: round the total", MARIA, Way::Merge("16"), &["main"]);

    shop.as_of(98, ANN, ANN, &["revert", "--no-edit", "HEAD"]);
    shop.push("a revert", ANN, Way::Ssh, &["main"]);
    shop.as_of(96, ANN, ANN, &["revert", "--no-edit", "HEAD"]);
    shop.name("reapply");
    shop.push("a revert of the revert", ANN, Way::Ssh, &["main"]);

    shop.push("production gets all of that", MARIA, Way::Http, &[MAIN_TO_PRODUCTION]);

    press_revert(shop, "rank", "unrank", 90);
    shop.push("a revert by Gitea's button", MARIA, Way::Web, &["main"]);
}

/// Reverts a commit like Gitea's button. The message is `revert ID`, followed by the message of the
/// commit (routers/web/repo/cherry_pick.go and its template).
fn press_revert(shop: &mut Shop, what: &str, name: &str, age: i64) {
    let id = shop.commits[what].clone();
    let quoted = shop.sandbox.git(&["log", "-1", "--format=%B", &id]);
    shop.sandbox.git(&["revert", "--no-commit", &id]);
    shop.commit(name, age, MARIA, &format!("revert {id}\n\nrevert {quoted}"), &[]);
}

/// Weeks 8 and 9.
fn fix_and_fail(shop: &mut Shop) {
    shop.sandbox.git(&["checkout", "-q", "-b", "hotfix", "origin/deploy/production"]);
    let once = ("services/checkout/src/once.rs", "// once\n");
    shop.commit("hotfix", 85, BO, "Charge only once\n\nACME-31", &[once, (CARGO, &cargo("1.1.1"))]);
    shop.push("a hot-fix to production", BO, Way::Ssh, &["hotfix:refs/heads/deploy/production"]);

    shop.sandbox.git(&["checkout", "-q", "main"]);
    shop.as_of(84, BO, BO, &["merge", "-q", "--no-ff", "-m", "Merge branch 'hotfix'", "hotfix"]);
    shop.name("back");
    shop.push("the hot-fix comes back to main", BO, Way::Ssh, &["main"]);

    let options = ["-o", "deploy=production", "-o", "deploy.service=search", "-o", "deploy.status=failed"];
    let args = [&options[..], &["main:refs/heads/try/1"]].concat();
    shop.push("a deployment that failed", MARIA, Way::Ssh, &args);

    let started = format!("deploy.started={}", shop.start - 600);
    let finished = format!("deploy.finished={}", shop.start - 60);
    let options =
        ["-o", &started, "-o", &finished, "-o", "deploy.id=run-42", "-o", "deploy.status=succeeded"];
    let args = [&options[..], &[MAIN_TO_PRODUCTION]].concat();
    shop.push("the same, in nine minutes", MARIA, Way::Ssh, &args);
}

/// Weeks 10 to 12.
fn move_and_go_back(shop: &mut Shop) {
    shop.commit("darker", 76, CY, "Darken the page", &[("web/page.css", "dark\n")]);
    shop.push("a darker page", CY, Way::Ssh, &["main"]);
    shop.sandbox.git(&["tag", "prod"]);
    shop.push("the tag prod, which stands for web in production", CY, Way::Ssh, &["prod"]);

    shop.commit("lighter", 71, CY, "Lighten the page", &[("web/page.css", "light\n")]);
    shop.push("a lighter page", CY, Way::Ssh, &["main"]);
    shop.sandbox.git(&["tag", "-f", "prod"]);
    shop.push("the tag prod moves on", CY, Way::Ssh, &["-f", "prod"]);
    shop.sandbox.git(&["tag", "-f", "prod", "HEAD~1"]);
    shop.push("the tag prod moves back", MARIA, Way::Ssh, &["-f", "prod"]);

    let tax = ("services/checkout/src/tax.rs", "// twice\n");
    shop.commit("tax", 64, BO, "Charge the tax twice", &[tax]);
    shop.push("a tax", BO, Way::Ssh, &["main"]);
    shop.push("production with the tax", MARIA, Way::Ssh, &[MAIN_TO_PRODUCTION]);
    let back = format!("{}:refs/heads/deploy/production", shop.commits["back"]);
    shop.push("production is forced back", MARIA, Way::Ssh, &["-f", &back]);

    shop.sandbox.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let tax = ("services/checkout/src/tax.rs", "// once\n");
    shop.commit("once", 58, ANN, "Charge the tax once", &[tax, (CARGO, &cargo("1.2.0"))]);
    shop.push("main is rewritten", ANN, Way::Ssh, &["-f", "main"]);
    shop.push("production follows", MARIA, Way::Ssh, &[MAIN_TO_PRODUCTION]);
}

/// Weeks 12 to 14.
fn lose(shop: &mut Shop) {
    shop.sandbox.git(&["checkout", "-q", "-b", "spike"]);
    shop.commit("spike", 55, BO, "Try a new index", &[("services/search/fast.js", "// new\n")]);
    let options = ["-o", "deploy=staging", "-o", "deploy.service=search", "spike"];
    shop.push("a trial on staging", BO, Way::Ssh, &options);
    shop.push("the trial's branch is deleted", BO, Way::Ssh, &["--delete", "spike"]);
    let bare = shop.sandbox.bare();
    shop.sandbox.git_in(&bare, &["gc", "-q", "--prune=now"]);

    shop.sandbox.git(&["checkout", "-q", "main"]);
    shop.commit("keep", 52, BO, "Keep the old index", &[("services/search/README.md", "Old\n")]);
    shop.push("after the trial", BO, Way::Ssh, &["main"]);

    fs::remove_dir_all(shop.sandbox.state().join("deployed")).expect("the deployment history can be removed");
    shop.sandbox.git(&["tag", "checkout/v1.2.0", &shop.commits["once"]]);
    let options = ["-o", "deploy=production", "checkout/v1.2.0"];
    shop.push("checkout 1.2.0 to production, after our notes are lost", ANN, Way::Ssh, &options);
    let receipt = ("services/checkout/src/receipt.rs", "// a receipt\n");
    shop.commit("receipt", 48, CY, "Write the receipt", &[receipt]);
    shop.push("staging by what its branch was", CY, Way::Ssh, &["main"]);
    let options = ["-o", "deploy=production", "-o", "deploy.service=search", "main:refs/heads/again/2"];
    shop.push("search to production, said by an option", MARIA, Way::Ssh, &options);
    shop.push("production by its branch again", MARIA, Way::Ssh, &[MAIN_TO_PRODUCTION]);
}

/// Weeks 15 to 20.
fn release(shop: &mut Shop) {
    shop.commit("search 1.1.0", 41, CY, "Bump search to 1.1.0", &[(PACKAGE, &package("1.1.0"))]);
    shop.push("search says 1.1.0", CY, Way::Ssh, &["main"]);
    shop.sandbox.git(&["tag", "search/v1.1.0"]);
    let options = ["-o", "deploy=production", "search/v1.1.0"];
    shop.push("search 1.1.0, released and deployed at once", CY, Way::Ssh, &options);

    shop.commit("fix", 36, ANN, "Fix the build", &[("services/search/build.js", "// fixed\n")]);
    shop.push("a fix", ANN, Way::Ssh, &["main"]);
    shop.sandbox.git(&["tag", "-f", "search/v1.1.0"]);
    shop.push("the tag of 1.1.0 moves to the fix", MARIA, Way::Ssh, &["-f", "search/v1.1.0"]);

    let slip = ["-o", "deploy=prodution", "main:refs/heads/next"];
    shop.push("an environment that is none", BO, Way::Ssh, &slip);
    shop.commit("hello", 30, ANN, "Say hello", &[("services/checkout/src/hello.rs", "// hello\n")]);
    shop.push("the same slip with a push to main", ANN, Way::Ssh, &["-o", "deploy=stagng", "main"]);

    press_revert(shop, "unrank", "rerank", 25);
    shop.push("a revert of the button's revert", MARIA, Way::Web, &["main"]);

    let all = [
        (CARGO, cargo("2.0.0")),
        (PACKAGE, package("2.0.0")),
        ("web/index.html", "<h1>Shop 2</h1>\n".to_string()),
    ];
    let all = all.each_ref().map(|(path, content)| (*path, content.as_str()));
    shop.commit("train", 21, ANN, "Make it 2.0.0\n\nAssisted-by: a large model", &all);
    shop.push("the train", ANN, Way::Ssh, &["main"]);
    shop.as_of(20, MARIA, MARIA, &["tag", "-a", "v2.0.0", "-m", "Two"]);
    shop.push("2.0.0 of everything", MARIA, Way::Ssh, &["v2.0.0"]);
    shop.push("2.0.0 in production", MARIA, Way::Ssh, &[MAIN_TO_PRODUCTION]);

    let older = format!("{}:refs/heads/again/3", shop.commits["fix"]);
    let options = ["-o", "deploy=production", "-o", "deploy.service=search", &older];
    shop.push("search goes back", MARIA, Way::Ssh, &options);

    let address = ("services/checkout/src/address.rs", "// where\n");
    shop.commit("address", 1, BO, "Ask for the address", &[address]);
    shop.push("and on it goes", BO, Way::Ssh, &["main"]);
    let options = ["-o", "deploy=staging", "-o", "deploy.service=web", "main:refs/heads/again/4"];
    shop.push("web is rolled out once more", BO, Way::Ssh, &options);
    shop.sandbox.write("clone/services/checkout/src/address.rs", "// where, and the door\n");
    shop.as_of(1, BO, BO, &["commit", "-q", "-a", "--amend", "-m", "Ask for the whole address"]);
    shop.name("whole");
    shop.push("the last commit is amended", BO, Way::Ssh, &["-f", "main"]);
}
