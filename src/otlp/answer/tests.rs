use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

use super::*;

fn read(content_type: Option<&str>, body: &[u8]) -> Result<Option<PartialSuccess>, ResponseError> {
    Success { status: 200, content_type, body, cut: None }.partial(Signal::Traces)
}

fn too_old() -> (Vec<u8>, PartialSuccess) {
    let message = || "too old".to_string();
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: message() };
    let response = ExportTraceServiceResponse { partial_success: Some(partial) };
    (response.encode_to_vec(), PartialSuccess { rejected: 2, message: message() })
}

#[test]
fn response_is_decoded_by_its_content_type() {
    let (protobuf, expected) = too_old();
    for content_type in [
        "application/x-protobuf",
        "Application/X-Protobuf",
        "application/protobuf; proto=x",
        "application/octet-stream",
        "",
    ] {
        assert_eq!(read(Some(content_type), &protobuf), Ok(Some(expected.clone())), "{content_type}");
    }
    assert_eq!(read(None, &protobuf), Ok(Some(expected.clone())));
    for json in [
        r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#,
        r#"{"partialSuccess":{"rejectedLogRecords":2,"errorMessage":"too old","unknown":{}}}"#,
        "\n {\"partial_success\":{\"rejected_spans\":2,\"error_message\":\"too old\"}}",
    ] {
        for content_type in
            ["application/json", "APPLICATION/JSON;charset=UTF-8", "application/vnd.x+json", "text/plain", ""]
        {
            let said = read(Some(content_type), json.as_bytes());
            assert_eq!(said, Ok(Some(expected.clone())), "{content_type} {json}");
        }
        assert!(read(Some("application/x-protobuf"), json.as_bytes()).is_err());
    }
    assert!(read(Some("application/json"), &protobuf).is_err());
}

#[test]
fn full_success_reports_no_partial_success() {
    for body in ["{}", r#"{"partialSuccess":null}"#, r#"{"partialSuccess":{}}"#, r#"{"status":"ok"}"#] {
        assert_eq!(read(Some("application/json"), body.as_bytes()), Ok(None), "{body}");
        assert_eq!(read(None, body.as_bytes()), Ok(None), "{body}");
    }
    for content_type in [None, Some("application/x-protobuf"), Some("application/json"), Some("text/html")] {
        assert_eq!(read(content_type, b""), Ok(None));
        assert_eq!(read(content_type, b"\r\n"), Ok(None));
    }
    // An empty partial success, and a field that a later version may add.
    assert_eq!(read(Some("application/x-protobuf"), b"\x0a\x00"), Ok(None));
    assert_eq!(read(Some("application/x-protobuf"), b"\x12\x01x"), Ok(None));
}

#[test]
fn non_otlp_responses_are_rejected() {
    let deep = "[".repeat(60_000);
    let page = b"\xef\xbb\xbf\n<!DOCTYPE html><title>Log in</title>";
    for (content_type, body) in [
        (Some("text/html; charset=utf-8"), &page[..]),
        (Some("application/x-protobuf"), page),
        (Some("application/json"), page),
        (None, page),
        (Some("text/xml"), b"<ok/>"),
        (Some("text/html"), b"Welcome"),
        (Some("image/png"), b"\x89PNG"),
        (Some("text/plain"), b"ok"),
        (None, b"\x00\x01\x02"),
        (Some("application/x-protobuf"), b"\x0a\x7fshort"),
        (Some("application/x-protobuf"), b"\x08\x01\x0b"),
        (Some("application/json"), b"null"),
        (Some("application/json"), b"[]"),
        (Some("application/json"), b"\"ok\""),
        (Some("application/json"), b"{\"partialSuccess\":7}"),
        (Some("application/json"), b"{"),
        (Some("application/json"), deep.as_bytes()),
    ] {
        let said = read(content_type, body).expect_err("not an OTLP response");
        assert!(matches!(said, ResponseError::Foreign(_)), "{said}");
    }
    let said = read(Some("text/HTML"), page).expect_err("not an OTLP response");
    assert_eq!(said.to_string(), "the response is not from an OTLP receiver: a web page");
}

#[test]
fn status_202_accepts_any_body_except_html() {
    let read = |status, body: &[u8]| {
        Success { status, content_type: Some("text/plain"), body, cut: None }.partial(Signal::Logs)
    };
    assert_eq!(read(202, b"queued"), Ok(None));
    assert_eq!(read(204, b""), Ok(None));
    assert!(read(202, b"<html>").is_err());
    assert!(read(201, b"queued").is_err());
}

#[test]
fn broken_responses_are_rejected_and_oversized_ones_accepted() {
    let read = |content_type, body, cut| {
        Success { status: 200, content_type: Some(content_type), body, cut: Some(cut) }.partial(Signal::Logs)
    };
    let cut_off = b"{\"partialSucc";
    for body in [&cut_off[..], b""] {
        assert_eq!(read("application/json", body, Cut::Broken), Err(ResponseError::CutOff));
    }
    assert_eq!(read("application/json", b"{}", Cut::Broken), Ok(None), "the JSON is complete");
    assert_eq!(
        read("application/json", cut_off, Cut::TooLarge).expect("accepted").expect("partial").rejected,
        0
    );
    assert!(read("text/plain", cut_off, Cut::TooLarge).is_err());
    assert!(read("application/json", b"<html>", Cut::TooLarge).is_err());
}

#[test]
fn error_message_is_kept_when_the_rejected_count_is_invalid() {
    for count in [r#""many""#, "1.5", "99999999999999999999", "[]"] {
        let body = format!(r#"{{"partialSuccess":{{"rejectedSpans":{count},"errorMessage":"odd"}}}}"#);
        let expected = PartialSuccess { rejected: 0, message: "odd".into() };
        assert_eq!(read(Some("application/json"), body.as_bytes()), Ok(Some(expected)), "{count}");
    }
}

#[test]
fn status_message_is_read_from_protobuf_json_or_text() {
    // A `google.rpc.Status` with a code, which is not decoded, and with details, which are
    // skipped.
    let status = b"\x08\x03\x12\x03bad\x1a\x02\x0a\x00";
    assert_eq!(status_message(status), "bad");
    assert_eq!(status_message(br#"{"code":3,"message":"bad"}"#), "bad");
    assert_eq!(status_message(b"<html>nginx</html>\n"), "<html>nginx</html>");
    assert_eq!(status_message(b"\x00\x01\x02"), "");
}

#[test]
fn malformed_status_yields_raw_text_or_nothing() {
    let deep = "[".repeat(60_000);
    for body in
        [&b"{\"message\":7}"[..], b"{\"message\":\"a\",\"message\":\"b\"}", b"null", b"{", deep.as_bytes()]
    {
        assert_eq!(status_message(body), String::from_utf8_lossy(body));
    }
    let groups = [0x0b; 60_000];
    for body in [
        &b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"[..],
        b"\x12\x7fshort",
        b"\x12\x02\xff\xfe",
        b"\x12",
        &groups,
    ] {
        assert_eq!(status_message(body), "");
    }
}
