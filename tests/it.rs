//! The integration tests that need only git and the tools of a base system. All tests use the public
//! interface: the binary, the real `git` and a receiver. `with_servers` has the tests that need more.

mod support;

mod answers; // statuses and bodies, and what counts as delivered
mod api; // every example in the scripting reference is true
mod back_end_rules; // lengths, kinds, parents and severities, as back ends check them
mod back_ends; // the configurations in docs/back-ends.md
mod backfill; // markers of a repository's history
mod bad_input; // failures around a push, which always succeeds
mod bounded; // endless and blocking files
mod brought; // the commits between two deployments, compared with git
mod cap; // a full spool drops the oldest changes first
mod captures; // hook inputs captured from running Gitea servers
mod check; // findings in scripts and services, as text and as JSON
mod commands; // output and exit status of status, log, check and deliver
mod commit_text; // encodings, broken headers, trailers, tickets and reverts in commits
mod completions; // completions, manual pages, help and --version
mod connect; // test markers and the event query
mod conventions; // docs/attributes.md and the wire
mod crash; // a process that dies at any step loses nothing
mod deaths; // policies that kill their process
mod delivery; // isolation of bad markers and broken destinations
mod deployed; // the deployment history
mod deployment_cases; // deployments as people ask for them
mod destinations; // kind = "http": the shipped shapes, retries, dead letters
mod detached; // the background process keeps nothing of the push open
mod doctor; // every finding, and no false ones
mod documents; // the documents match the program
mod explain; // the history of an update
mod facts; // facts from the repository, compared with git
mod faults; // full disks, missing descriptors, a removed state directory
mod finding; // how install finds Gitea, odd paths, and --purge
mod flipped; // bit flips in the spool
mod fuzz_corpora; // the fuzz corpora, without a fuzzer
mod git_home; // Gitea's .gitconfig and app.ini in every state
mod gitea_api; // who made a change that only a scan saw, from a fake Gitea
mod globs; // glob patterns, compared with git
mod golden_tests; // the test subcommand and the shipped policies
mod hang; // hooks that block
mod hook_page; // the policy in Gitea's Git Hooks page
mod hooks_api; // install and uninstall through Gitea's Git Hooks API
mod hostile; // a misbehaving back end
mod hostile_repositories; // a corpus of malicious repositories
mod imports; // imports of scripts, and statements outside of functions
mod installation; // install and uninstall on a Gitea in every state
mod interrupted; // install and uninstall, killed at any step or concurrent
mod journal_chain; // the hash chain of the journal
mod journal_gap; // a journal that cannot be written
mod json; // the output for programs and docs/json.md
mod kept; // captures are on disk before the hook returns
mod layering; // the dependency rules between modules
mod layers; // the scripts that take part in a decision
mod limits; // scripts that try to exceed a limit
mod load; // 64 concurrent pushers and an unreliable receiver
mod many_refs; // a push of 100,000 updates, and the time limit
mod mark; // marks by command and around a deploy script
mod merge; // merging of the files in an outbox
mod model; // the spool compared with a model, over random operations
mod named_repository; // REPO and REV in every command
mod newcomers; // repositories that came without the template, which scan covers
mod ownership; // services that belong to one repository
mod people; // attribution, mail addresses and their keyed hashes
mod picture; // docs/push.svg, drawn from a real push
mod policy; // policies from files: decide, enrich, guard, layers, errors
mod policy_documents; // documents that policies parse
mod power_cut; // states of the disk after a power cut
mod progress; // the progress bar
mod proposals; // every command that a message proposes can be pasted
mod queue; // queue list, show, retry and drop
mod ref_hook; // the file for git's event reference-transaction (install --ref-hook)
mod repositories; // names of a repository, namespaces, forks, submodules
mod rests; // files in an outbox never replace each other
mod samples; // functions of scripts on sample updates, what scripts print, the built-in decision
mod scan; // ref changes that no hook saw
mod scan_interleavings; // ref changes, pushes, scans and crashes at once
mod schema; // the JSON schemas of configuration and tests, on every sample
mod screens; // what a person sees on a terminal
mod secrets; // tokens are read once per delivery and never shown
mod services; // versions, environments, links, a repository's own file
mod shipped; // the policies in scripts/
mod shown; // untrusted text on a terminal
mod signatures; // signed commits and tags, and the key files
mod status; // status as text, JSON and OpenMetrics
mod storage_forms; // facts in every form in which git stores a repository
mod tls; // private CAs, invalid certificates, proxies
mod tree_bombs; // trees with a huge number of paths
mod trial; // the try subcommand
mod trust; // the site's rules on who may cause which markers
mod tutorial; // the commands of docs/tutorial.md
mod ulimits; // a hook under low limits, with any signal and any clock
mod undecided; // pushes that cannot be decided immediately
mod version_files; // versions in files of every format
mod version_tags; // version tags as release tools write them
mod wire; // encodings, headers, paths and retries on the wire
