//! Tests the shipped scripts with every kind of marker, and with unusual ones.

use super::*;
use crate::{config::Shipped, marker::MarkerSource};

/// Returns the settings that a shipped script requires, without its secrets.
fn settings_of(name: &str) -> Vec<(&'static str, &'static str)> {
    match name {
        "sentry" => vec![("organization", "acme")],
        "lightstep-snapshot" => vec![("organization", "acme"), ("project", "shop-prod")],
        _ => Vec::new(),
    }
}

#[test]
fn shipped_scripts_render_every_kind_with_extreme_markers() {
    let mut size = 0;
    for shipped in Shipped::all() {
        size += shipped.text.len();
        let secrets = ["token", "key", "api_key", "webhook"];
        let http = Http {
            endpoint: "https://api.example.com".into(),
            render: RenderScript::Shipped(shipped),
            secrets: secrets.map(|name| (name.to_string(), SecretSource::Env("T".into()))).into(),
            settings: settings_of(shipped.name)
                .into_iter()
                .map(|(name, text)| (name.to_string(), text.to_string()))
                .collect(),
            kinds: Kind::ALL.to_vec(),
        };
        let renderer = Renderer::load(&http, &Limits::default()).expect(shipped.name);
        assert_eq!(renderer.findings(), [], "{}", shipped.name);
        assert_eq!(renderer.rehearse(&http.kinds).1, [], "{}", shipped.name);
        for kind in Kind::ALL {
            let bare = Marker {
                environment: None,
                source: MarkerSource::default(),
                attributes: std::collections::BTreeMap::new(),
                ..sample(kind)
            };
            renderer.render(&bare).expect(shipped.name);
            let odd = "a'b\"c/d <e> & \u{1f600} ../..\\ ?#%\r\n".repeat(40);
            let source = MarkerSource {
                ref_name: Some(odd.clone()),
                pusher: Some(odd.clone()),
                ..sample(kind).source
            };
            let wild = Marker {
                service: odd.clone(),
                version: odd.clone(),
                environment: Some(odd.clone()),
                title: odd.clone(),
                source,
                ..sample(kind)
            };
            let rendered = renderer.render(&wild);
            if let Ok(Rendered::Requests(requests)) = rendered {
                requests.iter().for_each(|request| {
                    open(request, "/services/T0").expect(shipped.name);
                });
            } else if let Err(err) = rendered {
                panic!("{}: {err}", shipped.name);
            }
        }
    }
    assert!(size < 24_000, "the scripts are embedded in the binary: {size} bytes");
}

/// Returns the JSON bodies that a shipped script produces for a marker.
fn bodies(name: &str, subject: &Marker) -> Vec<serde_json::Value> {
    let http = Http {
        endpoint: "https://api.example.com".into(),
        render: RenderScript::Shipped(Shipped::named(name).expect(name)),
        secrets: ["token", "key", "api_key", "webhook"]
            .map(|name| (name.to_string(), SecretSource::Env("T".into())))
            .into(),
        settings: settings_of(name)
            .into_iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect(),
        kinds: Kind::ALL.to_vec(),
    };
    let renderer = Renderer::load(&http, &Limits::default()).expect(name);
    let Rendered::Requests(requests) = renderer.render(subject).expect(name) else {
        panic!("{name}: no request")
    };
    let opened = requests.iter().map(|request| open(request, "/services/T0").expect(name));
    opened.map(|opened| serde_json::from_slice(&opened.body).expect("JSON")).collect()
}

#[test]
fn shipped_scripts_truncate_to_vendor_limits() {
    // Characters of one and three bytes, and one that takes five when escaped for Slack.
    for long in ["x".repeat(5_000), "\u{20ac}".repeat(5_000), "&".repeat(5_000), "a/b\\c\td\n".repeat(700)] {
        let source = MarkerSource {
            ref_name: Some(long.clone()),
            pusher: Some(long.clone()),
            repository_url: Some(format!("https://git.example.com/{}", "x".repeat(5_000))),
            ..sample(Kind::Deployment).source
        };
        let subject = Marker {
            service: long.clone(),
            version: long.clone(),
            environment: Some(long.clone()),
            title: long.clone(),
            source,
            ..sample(Kind::Deployment)
        };
        let length = |value: &serde_json::Value| value.as_str().expect("text").chars().count();
        let within = |what: &str, value: &serde_json::Value, most: usize| {
            assert!((1..=most).contains(&length(value)), "{what}: {} of {most}", length(value));
        };
        // Limited by the column for tags in Grafana's database.
        let grafana = &bodies("grafana", &subject)[0];
        grafana["tags"].as_array().expect("tags").iter().for_each(|tag| within("a tag", tag, 50));

        let datadog = &bodies("datadog", &subject)[0];
        within("title", &datadog["title"], 100);
        within("text", &datadog["text"], 4000);
        within("aggregation_key", &datadog["aggregation_key"], 100);
        datadog["tags"].as_array().expect("tags").iter().for_each(|tag| within("a tag", tag, 200));

        let sentry = bodies("sentry", &subject);
        within("version", &sentry[0]["version"], 200);
        within("environment", &sentry[1]["environment"], 64);
        within("name", &sentry[1]["name"], 64);
        let version = sentry[0]["version"].as_str().expect("text");
        assert!(!version.contains(['/', '\\', '\n', '\r', '\t', '\u{c}']), "{version}");
        assert_eq!(version.trim(), version);

        let event = &bodies("newrelic", &subject)[0]["variables"]["event"];
        within("version", &event["categoryAndTypeData"]["categoryFields"]["deployment"]["version"], 256);
        within("shortDescription", &event["shortDescription"], 256);
        within("description", &event["description"], 4000);
        within("user", &event["user"], 256);

        let slack = &bodies("slack", &subject)[0];
        within("text", &slack["text"], 40_000);
        for block in slack["blocks"].as_array().expect("blocks") {
            let texts =
                block.get("text").into_iter().chain(block["elements"].as_array().into_iter().flatten());
            texts.for_each(|text| within("a text", text.get("text").unwrap_or(text), 3000));
        }

        let gitea = &bodies("gitea", &subject)[0];
        within("description", &gitea["description"], 255);
        within("context", &gitea["context"], 255);

        within("message", &bodies("honeycomb", &subject)[0]["message"], 1000);
    }
}
