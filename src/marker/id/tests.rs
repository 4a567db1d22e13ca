use super::*;

#[test]
fn trace_id_matches_the_shell_formula() {
    let sha = "9d59409acf479dfa0df1aa568182e43e43df8bbe";
    // printf 'gitea-lightstep/trace/1\0%s' 9d59409acf479dfa0df1aa568182e43e43df8bbe | sha256sum | cut -c1-32
    let expected = "3e03d7b94426664c15b0364cfd21c54f";
    assert_eq!(TraceId::of(sha.parse().expect("valid")).to_string(), expected);
}

#[test]
fn span_id_matches_the_shell_formula() {
    let trace: TraceId = "3e03d7b94426664c15b0364cfd21c54f".parse().expect("valid");
    // printf 'gitea-lightstep/span/1\0%s\0%s\0%s' 3e03d7b94426664c15b0364cfd21c54f checkout change | sha256sum | cut -c1-16
    assert_eq!(SpanId::of_change(trace, "checkout").to_string(), "d051b967bd1b8fb2");
    // printf 'gitea-lightstep/span/1\0%s\0%s\0%s\0%s' 3e03d7b94426664c15b0364cfd21c54f checkout release 1.4.0 | sha256sum | cut -c1-16
    assert_eq!(SpanId::of_release(trace, "checkout", "1.4.0").to_string(), "7d252b1e5e0d4081");
}

#[test]
fn marker_id_depends_on_every_component() {
    let push = PushId::now();
    let main = RefName::new(b"refs/heads/main").expect("valid");
    let dev = RefName::new(b"refs/heads/dev").expect("valid");
    let ids = [
        MarkerId::of(push, &main, "shop", None, Kind::Change),
        MarkerId::of(push, &main, "shop", None, Kind::Release),
        MarkerId::of(push, &main, "shop", Some("prod"), Kind::Change),
        MarkerId::of(push, &main, "sho", Some("pprod"), Kind::Change),
        MarkerId::of(push, &dev, "shop", None, Kind::Change),
        MarkerId::of(PushId::now(), &main, "shop", None, Kind::Change),
    ];
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
    assert_eq!(ids[0], MarkerId::of(push, &main, "shop", None, Kind::Change));
    assert_eq!(ids[0].to_string().parse(), Ok(ids[0]));
}
