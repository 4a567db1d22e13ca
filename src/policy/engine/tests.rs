use super::*;
use crate::policy::{Level, layer::Layer};

#[test]
fn native_function_panic_becomes_a_script_error() {
    let mut sandbox = ScriptEngine::new(&Limits::default(), Library::Full);
    sandbox.engine.register_fn("crash", || -> i64 { panic!("out of cheese") });
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("site.rhai");
    std::fs::write(&path, "fn decide(update) { crash() }").expect("a script");
    let layer = Layer::read(&sandbox, Level::Site, &path).expect("it compiles");
    let call = || layer.script().call(&sandbox, "decide", (1_i64,), Deadline::never());
    for _ in 0..2 {
        let err = call().expect_err("it panics").to_string();
        assert!(err.contains("panic: out of cheese"), "{err}");
    }
}
