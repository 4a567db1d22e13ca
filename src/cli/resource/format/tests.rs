use super::*;

#[test]
fn hostile_values_are_escaped_in_every_format() {
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().expect("valid");
    let hostile = "a'b\"$(id)`,x=1;\n#é";
    let identity =
        Identity { attributes: vec![("service.name", hostile.into())], traceparent, is_parent: true };
    let said = |format| identity.in_format(format).expect("formats");
    let encoded = "service.name=a%27b%22%24%28id%29%60%2Cx%3D1%3B%0A%23%C3%A9";
    assert_eq!(
        said(Format::Shell),
        format!("export OTEL_RESOURCE_ATTRIBUTES='{encoded}'\nexport TRACEPARENT='{traceparent}'")
    );
    assert_eq!(
        said(Format::Docker),
        format!("--build-arg OTEL_RESOURCE_ATTRIBUTES={encoded} --build-arg TRACEPARENT={traceparent}")
    );
    assert!(said(Format::Kubernetes).contains(r#"service.name: "a'b\"$(id)`,x=1;\n#é""#));
    let json: serde_json::Value = serde_json::from_str(&said(Format::Json)).expect("JSON");
    assert_eq!(json["attributes"]["service.name"], hostile);
}
