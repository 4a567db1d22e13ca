use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
};

use super::*;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

fn arrival(at: Instant) -> Arrival {
    let record = LogRecord {
        event_name: "gitea_lightstep.release".into(),
        trace_id: vec![0xab; 16],
        attributes: vec![text(name::USER_NAME, "ann"), text(name::MARKER_ID, "0102")],
        ..LogRecord::default()
    };
    let resource_logs = ResourceLogs {
        resource: Some(Resource {
            attributes: vec![text(name::SERVICE_NAME, "shop\x1b[2J")],
            ..Resource::default()
        }),
        scope_logs: vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    let export = Export::Logs(ExportLogsServiceRequest { resource_logs: vec![resource_logs] });
    arrivals(Received { at, export }).pop().expect("one record")
}

#[test]
fn report_lines_show_only_received_values() {
    let arrival = arrival(Instant::now());
    assert_eq!(arrival.event, "gitea_lightstep.release");
    let told: Vec<_> =
        arrival.report_lines().into_iter().map(|(what, value)| format!("{what}={value}")).collect();
    let trace = format!("trace={}", "ab".repeat(16));
    assert_eq!(told, ["service=shop\\u{1b}[2J", "pushed by=ann", &trace, "marker=0102"]);
}

#[test]
fn arrival_time_is_relative_to_both_ends_of_the_push() {
    let began = Instant::now();
    let after = |ms| began + Duration::from_millis(ms);
    let push = FinishedPush { began, ended: after(20), said: Vec::new() };
    let when = |ms| arrival(after(ms)).when(&push);
    assert_eq!(when(17), "17 ms after the push began, 3 ms before it ended");
    assert_eq!(when(20), "20 ms after the push began, as it ended");
    assert_eq!(when(25), "25 ms after the push began, 5 ms after it ended");
}
