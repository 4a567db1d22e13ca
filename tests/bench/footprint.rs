//! `--only footprint`: the memory of a typical push, and the size of the binary.

use std::{fs, path::Path};

use crate::support::{
    build, elf,
    git::Git,
    launcher,
    receiver::Receiver,
    verdict::{Verdict, mib},
};

/// Maximum memory of a hook, in MiB.
const MAX_PEAK: f64 = 24.0;

/// Maximum size of the binary, in MiB.
const MAX_SIZE: f64 = 16.0;

pub fn run(runs: usize, verdict: &mut Verdict) {
    let temp = tempfile::tempdir().expect("a temporary directory for the repository");
    let git = Git::new(temp.path());
    let bare = temp.path().join("acme/shop.git");
    let commits = git.packed_history(&bare, 300);
    let receiver = Receiver::start();
    let config = temp.path().join("config.toml");
    let endpoint = receiver.url().trim_end_matches('/');
    let written = format!(
        "state_dir = \"state\"\n\n[[destination]]\nname = \"bench\"\nkind = \"otlp\"\nendpoint = \"{endpoint}\"\n"
    );
    fs::write(&config, written).expect("the directory is new");
    let stdin = temp.path().join("updates");
    fs::write(&stdin, format!("{} {} refs/heads/main\n", commits[1], commits[0]))
        .expect("the directory is new");

    let mut hook = git.command(build::installed(), &bare);
    hook.env("GIT_DIR", ".").arg("hook").arg("--config").arg(&config);
    let measured: Vec<_> = (0..runs).map(|_| launcher::measure(&hook, &stdin)).collect();
    assert_eq!(receiver.served(), runs, "every push of one marker is one request");
    let peak = measured.iter().map(|run| run.hook.peak).max().unwrap_or(0);
    let background =
        measured.iter().filter_map(|run| run.background).map(|used| used.peak).max().unwrap_or(0);
    let cpu = measured.iter().map(|run| run.hook.cpu).min().unwrap_or_default();
    let binary = elf::read(Path::new(build::installed()));

    println!("\n## One ordinary push, largest of {runs} runs\n\n| | |\n|---|--:|");
    println!("| the hook's peak | {:.1} MiB |", mib(peak));
    println!("| the detached process's peak, with one delivery | {:.1} MiB |", mib(background));
    println!("| the hook's CPU, lowest of {runs} runs | {:.1} ms |", cpu.as_secs_f64() * 1e3);
    println!("| the binary | {:.2} MiB |", mib(binary.size));

    verdict.add(
        format!("the hook process peaks under {MAX_PEAK} MiB"),
        format!("{:.1} MiB", mib(peak)),
        mib(peak) < MAX_PEAK,
    );
    let (linked, symbols) = (
        if binary.is_static { "static" } else { "dynamic" },
        if binary.is_stripped { "stripped" } else { "not stripped" },
    );
    verdict.add(
        format!("the stripped static binary is under {MAX_SIZE} MiB"),
        format!("{:.2} MiB, {linked}, {symbols}", mib(binary.size)),
        mib(binary.size) < MAX_SIZE && binary.is_static && binary.is_stripped,
    );
}
