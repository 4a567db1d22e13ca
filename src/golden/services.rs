//! Writes services into a test file, without the keys that a policy cannot see.

use toml_edit::{Array, InlineTable, Table, Value};

use crate::config::{ServiceRule, VersionRule};

/// Returns the `[[service]]` table for a rule. Leaves out owner and links, which do not affect
/// decisions.
pub(super) fn table(rule: &ServiceRule) -> Table {
    let mut table = Table::new();
    table.insert("name", Value::from(rule.name.as_str()).into());
    if !rule.paths.is_empty() {
        table.insert("paths", Value::from(rule.paths.iter().collect::<Array>()).into());
    }
    if !rule.environments.is_empty() {
        let environments: InlineTable = rule
            .environments
            .iter()
            .map(|environment| (environment.name.as_str(), environment.refs.iter().collect::<Array>()))
            .collect();
        table.insert("environments", Value::from(environments).into());
    }
    if let Some(version) = &rule.version {
        table.insert("version", version_of(version).into());
    }
    table
}

fn version_of(rule: &VersionRule) -> Value {
    match rule {
        VersionRule::Tag => "tag".into(),
        VersionRule::Describe => "describe".into(),
        VersionRule::Commit => "commit".into(),
        VersionRule::Option(option) => InlineTable::from_iter([("option", option.as_str())]).into(),
        VersionRule::File { path, key } => {
            let key = key.as_deref().map(|key| ("key", key));
            InlineTable::from_iter([("file", path.as_str())].into_iter().chain(key)).into()
        }
    }
}
