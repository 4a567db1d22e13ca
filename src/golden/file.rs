//! The schema of a test file, as far as serde can check it. `load` and `plot` check the rest.

use std::{borrow::Cow, collections::BTreeMap, fmt, marker::PhantomData, path::PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::expect::Expectation;
use crate::{
    config::{ServiceFile, Spanned},
    push::{Transport, UpdateSource},
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SuiteFile {
    pub repository: Option<Spanned<String>>,
    pub policy: Option<Spanned<PathBuf>>,
    pub hook_page: Option<Spanned<PathBuf>>,
    pub default_branch: Option<Spanned<String>>,
    pub service: Vec<ServiceFile>,
    pub history: Option<Vec<CommitFile>>,
    pub test: Vec<TestFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestFile {
    pub name: Spanned<String>,
    pub repository: Option<Spanned<String>>,
    pub default_branch: Option<Spanned<String>>,
    pub history: Option<Vec<CommitFile>>,
    #[serde(default)]
    pub push: PushFile,
    #[serde(default)]
    pub update: OneOrMore<UpdateFile>,
    #[serde(default)]
    pub expect: OneOrMore<Expectation>,
}

/// A commit. Other parts of the test refer to it by `label`, `branch`, `tag` or `refs`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CommitFile {
    pub message: Option<String>,
    pub author: Option<Spanned<String>>,
    pub committer: Option<Spanned<String>>,
    pub time: Option<TimeFile>,
    pub files: BTreeMap<Spanned<String>, ContentFile>,
    pub label: Option<Spanned<String>>,
    pub branch: Option<Spanned<String>>,
    pub tag: Option<Spanned<String>>,
    pub refs: Vec<Spanned<String>>,
    pub merge: Option<Spanned<OneOrMore<String>>>,
    pub is_signed: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PushFile {
    pub pusher: Option<PusherFile>,
    pub pusher_id: Option<i64>,
    pub options: BTreeMap<String, OptionFile>,
    pub source: UpdateSource,
    pub transport: Option<Transport>,
    pub pull_request: Option<i64>,
    pub is_merge: bool,
    pub is_internal: bool,
    pub is_wiki: bool,
    pub is_deploy_key: bool,
    pub actions_task: Option<i64>,
    pub time: Option<TimeFile>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UpdateFile {
    pub branch: Option<Spanned<String>>,
    pub tag: Option<Spanned<String>>,
    #[serde(rename = "ref")]
    pub full_name: Option<Spanned<String>>,
    pub to: Option<Spanned<String>>,
    pub commits: Vec<CommitFile>,
    pub annotated_tag: Option<TagFile>,
    pub delete: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TagFile {
    pub message: String,
    pub tagger: Option<Spanned<String>>,
    pub time: Option<TimeFile>,
    pub is_signed: bool,
}

/// The content of a file, or its removal.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the file's content as a string, or `false` for a file that is removed"
)]
pub(super) enum ContentFile {
    Text(String),
    #[serde(deserialize_with = "only_false")]
    #[schemars(with = "bool")]
    Removed,
}

/// The pusher, or an unknown one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the pusher's login as a string, or `false` for a push outside of Gitea"
)]
pub(super) enum PusherFile {
    Name(String),
    #[serde(deserialize_with = "only_false")]
    #[schemars(with = "bool")]
    Nobody,
}

/// The value of a push option, or an option without a value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected the option's value as a string, or `true` for `git push -o KEY`")]
pub(super) enum OptionFile {
    Value(String),
    #[serde(deserialize_with = "only_true")]
    #[schemars(with = "bool")]
    Bare,
}

/// A point in time: a TOML datetime, or RFC 3339 in a string.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenTime")]
#[schemars(with = "String")]
pub(super) struct TimeFile(pub crate::sys::time::Timestamp);

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a time such as 2026-11-22T10:00:00Z")]
enum WrittenTime {
    Native(toml::value::Datetime),
    Text(String),
}

impl TryFrom<WrittenTime> for TimeFile {
    type Error = String;

    fn try_from(written: WrittenTime) -> Result<Self, String> {
        let text = match written {
            WrittenTime::Native(time) => time.to_string(),
            WrittenTime::Text(text) => text,
        };
        let wrong =
            || format!("expected a time such as 2026-11-22T10:00:00Z, found `{}`", crate::text::line(&text));
        text.parse().map(Self).map_err(|_| wrong())
    }
}

fn only_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    only(deserializer, false)
}

fn only_true<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    only(deserializer, true)
}

fn only<'de, D: Deserializer<'de>>(deserializer: D, wanted: bool) -> Result<(), D::Error> {
    let found = bool::deserialize(deserializer)?;
    if found == wanted { Ok(()) } else { Err(de::Error::custom(format_args!("expected `{wanted}`"))) }
}

/// A list that may be written without brackets if it has one element.
#[derive(Clone, Debug)]
pub(super) struct OneOrMore<T>(pub Vec<T>);

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor(PhantomData))
    }
}

struct OneOrMoreVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for OneOrMoreVisitor<T> {
    type Value = OneOrMore<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one, or an array of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(de::value::StrDeserializer::new(text)).map(|one| OneOrMore(vec![one]))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| OneOrMore(vec![one]))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = seq.next_element()? {
            all.push(one);
        }
        Ok(OneOrMore(all))
    }
}
