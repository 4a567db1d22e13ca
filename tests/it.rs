//! The one integration target: everything here goes through the public door, which is the binary,
//! the real `git` and a real receiver.

mod support;

mod api; // what scripts can call and read: every example is true
mod back_ends; // each configuration of docs/back-ends.md: what arrives is what that back end documents
mod bad_input; // whatever goes wrong, the push succeeds and the journal says what it was
mod brought; // what a deployment brings, over random histories, with git and plain counting as the oracles
mod cap; // a spool that is full drops what is worth least, and says so
mod captures; // what running Gitea servers handed to hooks, and what a person says of it
mod check; // what check finds in scripts and services, with carets and as JSON
mod chroot; // the static binary where there is nothing: no bash, no curl, no CA files, names from anywhere
mod commands; // status, log, check, deliver: answers, messages, exit status
mod config_hook; // git 2.54 and newer: the hook in Gitea's .gitconfig, in every bad state of our binary
mod connect; // connect: the test marker, the event query that is made once, what is left to a person
mod conventions; // docs/attributes.md: every attribute on the wire, and the registry of the semantic conventions
mod crash; // a process that dies at any step loses nothing
mod deaths; // a policy that kills the process costs its own update, and nothing else
mod delivery; // one bad marker, one bad form, one bad destination: each alone
mod deployed; // what runs where: remembered, told the same again, found in history, broken and gone
mod destinations; // kind = "http": each shipped shape as its vendor documents it, retry, dead letters, secrets
mod detached; // what the process that a hook leaves behind keeps of the push: nothing
mod doctor; // doctor: each cause of "no marker came" that it knows, and a Gitea where all is well
mod documents; // what the documents promise
mod explain; // explain: the whole way of an update, in every state that it can be in
mod facts; // what the repository says, with git as the oracle, in SHA-1 and SHA-256
mod faults; // a full disk, no descriptors, a state directory that goes away: what is captured arrives
mod finding; // which Gitea install means, odd paths, single repositories, and what --purge removes
mod git_home; // Gitea's .gitconfig and app.ini in every state: changed as git would, or left with a reason
mod golden_tests; // `test`: what a test can say, the difference, --bless, JUnit, the policies that are shipped
mod hang; // a hook that hangs, wherever it does: the push goes on, and what was captured is there
mod hook_page; // Gitea's text box in every form, beside the installed hook and alone: decided once
mod hooks_api; // install and uninstall through the Git Hooks API of a scripted Gitea
mod hostile; // a back end that does everything wrong: nothing is lost, nothing takes for ever
mod imports; // what scripts import from their directory, and what stands outside of functions
mod install_in_image; // install.sh where nothing is but busybox: containers, crond, systemd
mod install_killed; // install.sh stopped at every step: all as before, or completed by the next run
mod install_sh; // install.sh under dash and busybox ash, as root and as the user that Gitea runs as
mod installation; // install and uninstall: every state of a Gitea on disk, twice, killed at each step, and back
mod interrupted; // install and uninstall that die at any step, and beside each other
mod layering; // the arrows between modules go one way
mod layers; // which scripts have a say: their hashes, imports, and the page beside the installed hook
mod limits; // hostile scripts: each is stopped, and costs its own markers and nothing else
mod load; // 64 pushers at once while the receiver goes up and down
mod many_refs; // 100,000 updates in one push, and the budget
mod merge; // what piles up while a destination is away: in few files, and nothing less
mod model; // the spool beside a model of it, over random sequences
mod nginx; // a real nginx before the receiver: stopped, restarted, 502, 503, 429, 413
mod people; // who pushed, merged, wrote; mail addresses and the key of their hashes
mod policy; // scripts from files: decide, enrich, guard, layers, errors with positions
mod progress; // the bar on a terminal while a delivery takes its time
mod pushes; // a real push arrives in a receiver that nobody here wrote
mod queue; // queue list, show, retry and drop: what they say, what they leave on disk
mod rests; // no file of an outbox takes the place of another
mod secrets; // tokens: read once, read anew when refused, shown to nobody
mod services; // versions, environments, links, the own file of a repository
mod shipped; // the policies in scripts: their golden tests, and real pushes
mod status; // status: what it finds, and the same as JSON and as OpenMetrics
mod tls; // certificates from internal CAs and bad ones, proxies: what is trusted, and what is said
mod trace_context; // links, parents, how long a span takes, and the ids that everybody computes alike
mod trial; // try: a policy over real history, two policies side by side, nothing written
mod tutorial; // every command of docs/tutorial.md prints what it says
mod twenty_weeks; // a scripted history through the real hook, held beside a table that a person wrote
mod wire; // the bytes on the wire: encodings, headers, paths, retry classes
