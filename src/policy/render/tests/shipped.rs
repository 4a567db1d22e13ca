//! The scripts that are in the program, on every kind of marker and on odd ones.

use super::*;
use crate::config::Shipped;

/// What the shipped scripts need to be told, beside secrets.
fn settings_of(name: &str) -> Vec<(&'static str, &'static str)> {
    match name {
        "sentry" => vec![("organization", "acme")],
        "lightstep-snapshot" => vec![("organization", "acme"), ("project", "shop-prod")],
        _ => Vec::new(),
    }
}

#[test]
fn the_shipped_scripts_work_for_every_kind_and_with_the_least_that_a_marker_has() {
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
            let bare = Subject {
                environment: None,
                repository: (None, None),
                commit_id: None,
                ref_name: None,
                pusher: None,
                url: None,
                attributes: BTreeMap::new(),
                ..Subject::sample(kind)
            };
            renderer.render(&bare).expect(shipped.name);
            let odd = "a'b\"c/d <e> & \u{1f600} ../..\\ ?#%\r\n".repeat(40);
            let wild = Subject {
                service: odd.clone(),
                version: odd.clone(),
                environment: Some(odd.clone()),
                title: odd.clone(),
                ref_name: Some(odd.clone()),
                pusher: Some(odd.clone()),
                ..Subject::sample(kind)
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
    assert!(size < 20_000, "the scripts are in the program: {size} bytes");
}
