use super::*;

const A_WHILE: Duration = Duration::from_secs(20);

#[test]
fn debug_output_is_redacted() {
    let secret = Secret::new("s3cr3t\n").expect("valid");
    assert_eq!(format!("{secret:?}"), "[redacted]");
    assert_eq!(secret.expose(), "s3cr3t");
}

#[test]
fn secrets_invalid_in_a_header_are_rejected() {
    for bad in ["", " \n", "two\nlines", "caf\u{e9}"] {
        let said = Secret::new(bad).expect_err("refused").to_string();
        assert!(said.starts_with("the secret"), "{said}");
    }
}

#[test]
fn command_runs_without_a_shell() {
    let source = SecretSource::Command(vec!["echo".into(), "$HOME;id".into()]);
    assert_eq!(source.read(A_WHILE).expect("runs").expose(), "$HOME;id");
    let failing = SecretSource::Command(vec!["false".into()]);
    assert_eq!(
        failing.read(A_WHILE).expect_err("fails").to_string(),
        "the command failed with exit status: 1"
    );
}
#[test]
fn hanging_command_times_out() {
    for script in ["exec sleep 600", "exec >&-; exec sleep 600"] {
        let source = SecretSource::Command(["sh", "-c", script].map(Into::into).into());
        let said = source.read(Duration::from_millis(50)).expect_err("times out").to_string();
        assert_eq!(said, "the command timed out after 50ms");
    }
}

#[test]
fn background_processes_of_a_command_are_not_awaited() {
    let leaving = SecretSource::Command(["sh", "-c", "sleep 60 & echo s3cr3t"].map(Into::into).into());
    let start = std::time::Instant::now();
    assert_eq!(leaving.read(A_WHILE).expect("printed").expose(), "s3cr3t");
    assert!(start.elapsed() < A_WHILE, "{:?}", start.elapsed());
}

#[test]
fn memory_of_a_secret_is_overwritten_when_it_is_dropped() {
    fn is_overwritten<T: zeroize::ZeroizeOnDrop>(_: &T) {}
    let Secret(text) = Secret::new("s3cr3t").expect("valid");
    is_overwritten(&text);
}
