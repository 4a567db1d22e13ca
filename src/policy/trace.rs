//! What each layer said of an update, function by function: noted only when somebody asks, as `try` and
//! `explain` do.

use serde::Serialize;

use super::{Decision, Draft, Guarded, Level, Partial, Rule, ScriptError, Value, answer, layer::Layer};
use crate::text;

/// How much of one value is shown, in characters.
const MAX_VALUE: usize = 200;

/// The functions that a script may define for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// `decide(update)`.
    Decide,
    /// `enrich(marker, update)`.
    Enrich,
    /// `guard(marker, update)`.
    Guard,
}

impl Function {
    /// All of them, in the order in which they are called.
    pub const ALL: [Self; 3] = [Self::Decide, Self::Enrich, Self::Guard];

    /// Returns the name in a script.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Enrich => "enrich",
            Self::Guard => "guard",
        }
    }

    /// Returns how many parameters it takes.
    pub fn parameters(self) -> usize {
        match self {
            Self::Decide => 1,
            Self::Enrich | Self::Guard => 2,
        }
    }
}

/// What one layer said when its turn came.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The layer.
    pub level: Level,
    /// The function whose turn it was.
    pub function: Function,
    /// The line that spoke; the function's own line where the answer has none.
    pub by: Rule,
    /// Which of the update's markers it was about, counted from 0; `None` for `decide`.
    pub marker: Option<usize>,
    /// What it said.
    pub said: Said,
}

/// What a layer said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The layer has no such function.
    Undefined,
    /// A more specific layer decides, so this one was not asked.
    NotAsked,
    /// `decide` asks for this marker.
    Marks(Partial),
    /// `decide` wants no marker.
    Skips(String),
    /// `enrich` changed these fields, `guard` added these attributes; none if the marker passed as it was.
    Passed(Vec<Field>),
    /// `guard` refused.
    Refused(String),
    /// The function failed: cause and fix.
    Failed(String),
}

/// A field of a marker that a function set or took away.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name in a script: `version`, `attributes.team`.
    pub name: String,
    /// What it was, `None` if it was not there.
    pub old: Option<Value>,
    /// What it is, `None` if it is gone.
    pub new: Option<Value>,
}

/// The steps of one update, if they are asked for.
#[derive(Debug, Default)]
pub struct Trace {
    steps: Option<Vec<Step>>,
    marker: usize,
}

impl Trace {
    /// Returns a trace that keeps nothing: an ordinary push's.
    pub fn off() -> Self {
        Self::default()
    }

    /// Returns a trace that keeps every step.
    pub fn on() -> Self {
        Self { steps: Some(Vec::new()), marker: 0 }
    }

    /// Returns what was noted, in order.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }

    fn is_on(&self) -> bool {
        self.steps.is_some()
    }

    /// Has the steps from now on be about this marker of the update.
    pub fn turn_to_marker(&mut self, nth: usize) {
        self.marker = nth;
    }

    fn note(&mut self, layer: &Layer, function: Function, by: Rule, said: Said) {
        let level = layer.origin().level;
        let marker = (function != Function::Decide).then_some(self.marker);
        if let Some(steps) = &mut self.steps {
            steps.push(Step { level, function, by, marker, said });
        }
    }

    /// Notes that a layer has no such function, or that another one was asked instead.
    pub(super) fn passed_over(&mut self, layer: &Layer, function: Function) {
        if self.is_on() {
            let said = if layer.defines(function) { Said::NotAsked } else { Said::Undefined };
            self.note(layer, function, answer::rule(layer, function), said);
        }
    }

    pub(super) fn decided(&mut self, layer: &Layer, said: &Result<Decision, ScriptError>) {
        if !self.is_on() {
            return;
        }
        match said {
            Ok(Decision::Skip { by, why }) => {
                self.note(layer, Function::Decide, by.clone(), Said::Skips(why.clone()));
            }
            Ok(Decision::Marks(marks)) => {
                for mark in marks {
                    self.note(layer, Function::Decide, mark.by.clone(), Said::Marks(mark.partial.clone()));
                }
            }
            Err(err) => self.failed(layer, Function::Decide, err),
        }
    }

    /// Returns a copy of the marker as a function gets it, to compare with what it makes of it.
    pub(super) fn before(&self, draft: &Draft) -> Option<Draft> {
        self.is_on().then(|| draft.clone())
    }

    pub(super) fn enriched(
        &mut self,
        layer: &Layer,
        before: Option<&Draft>,
        said: &Result<Draft, ScriptError>,
    ) {
        let Some(before) = before else { return };
        match said {
            Ok(after) => self.passed(layer, Function::Enrich, before, after),
            Err(err) => self.failed(layer, Function::Enrich, err),
        }
    }

    pub(super) fn guarded(
        &mut self,
        layer: &Layer,
        before: Option<&Draft>,
        said: &Result<Guarded, ScriptError>,
    ) {
        let Some(before) = before else { return };
        match said {
            Ok(Guarded::Passed(after)) => self.passed(layer, Function::Guard, before, after),
            Ok(Guarded::Refused { by, why }) => {
                self.note(layer, Function::Guard, by.clone(), Said::Refused(why.clone()));
            }
            Err(err) => self.failed(layer, Function::Guard, err),
        }
    }

    fn passed(&mut self, layer: &Layer, function: Function, before: &Draft, after: &Draft) {
        self.note(layer, function, answer::rule(layer, function), Said::Passed(differences(before, after)));
    }

    fn failed(&mut self, layer: &Layer, function: Function, err: &ScriptError) {
        self.note(layer, function, Rule::failing(err), Said::Failed(err.message().to_string()));
    }
}

/// Returns the fields in which two markers differ, in the order of a script's words.
pub fn differences(old: &Draft, new: &Draft) -> Vec<Field> {
    let keys: std::collections::BTreeSet<_> = old.attributes.keys().chain(new.attributes.keys()).collect();
    let attributes = keys.into_iter().map(|key| Field {
        name: format!("attributes.{key}"),
        old: old.attributes.get(key).cloned(),
        new: new.attributes.get(key).cloned(),
    });
    let (olds, news) = (own_fields(old), own_fields(new));
    let own = olds.into_iter().zip(news).map(|((name, old), (_, new))| Field { name: name.into(), old, new });
    own.chain(attributes).filter(|field| field.old != field.new).collect()
}

fn own_fields(draft: &Draft) -> [(&'static str, Option<Value>); 5] {
    let text = |text: &String| Some(Value::from(text.as_str()));
    [
        ("kind", Some(Value::from(draft.kind.as_str()))),
        ("service", text(&draft.service)),
        ("version", text(&draft.version)),
        ("environment", draft.environment.as_ref().and_then(text)),
        ("title", text(&draft.title)),
    ]
}

/// Returns a value as a script would write it, on one line and not too long.
pub fn shown(value: &Value) -> String {
    let quoted = |text: &str| format!("\"{}\"", text::line_of(text, MAX_VALUE));
    match value {
        Value::Bool(bool) => bool.to_string(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) => float.to_string(),
        Value::Text(text) => quoted(text),
        Value::List(list) => {
            format!("[{}]", list.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
    }
}

impl Said {
    /// Returns whether one line of the script stands behind it, and not a whole function.
    pub fn has_line(&self) -> bool {
        matches!(self, Self::Marks(_) | Self::Skips(_) | Self::Refused(_) | Self::Failed(_))
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let because =
            |why: &str| if why.is_empty() { String::new() } else { format!("(\"{}\")", text::line(why)) };
        match self {
            Self::Undefined => f.write_str("not defined"),
            Self::NotAsked => f.write_str("not asked, a more specific layer decides"),
            Self::Marks(partial) => {
                let set = partial.fields();
                let set: Vec<_> =
                    set.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect();
                write!(f, "mark({})", set.join(", "))
            }
            Self::Skips(why) => write!(f, "skip{}", because(why)),
            Self::Passed(fields) if fields.is_empty() => f.write_str("passed"),
            Self::Passed(fields) => {
                let set: Vec<_> = fields.iter().map(ToString::to_string).collect();
                f.write_str(&set.join(", "))
            }
            Self::Refused(why) => write!(f, "refuse{}", because(why)),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.old, &self.new) {
            (None, Some(new)) => write!(f, "set {} = {}", self.name, shown(new)),
            (Some(old), Some(new)) => {
                write!(f, "changed {} from {} to {}", self.name, shown(old), shown(new))
            }
            (_, None) => write!(f, "removed {}", self.name),
        }
    }
}
