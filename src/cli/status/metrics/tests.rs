use super::*;

#[test]
fn label_values_are_escaped() {
    let mut metrics = Metrics { name: "m".into(), ..Metrics::default() };
    metrics.sample(&[("a", "x\"y\\z\nnew"), ("b", "")], 1);
    assert_eq!(metrics.text, "m{a=\"x\\\"y\\\\z\\nnew\",b=\"\"} 1\n");
}
