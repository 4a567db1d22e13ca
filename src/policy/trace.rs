//! Records each layer's response to an update, function by function. Tracing is on only for
//! commands such as `try` and `explain`.

use super::{
    Decision, Draft, Guarded, Level, Partial, Rule, ScriptError,
    layer::{Layer, PolicyFunction},
};
use crate::{marker::Value, text};

/// Maximum length of a value when shown, in characters.
const MAX_VALUE: usize = 200;

/// The response of one layer to one function call.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceStep {
    /// Layer.
    pub level: Level,
    /// Function that was called.
    pub function: PolicyFunction,
    /// Position of the response, or the start of the function if the response has no line.
    pub by: Rule,
    /// Index of the update's marker, `None` for `decide`.
    pub marker: Option<usize>,
    /// Response of the layer.
    pub said: LayerResponse,
}

/// The response of a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerResponse {
    /// The layer does not define the function.
    Undefined,
    /// A more specific layer decides, so this one was not called.
    NotAsked,
    /// `decide` asked for this marker.
    Marks(Partial),
    /// `decide` asked for no marker, for this reason.
    Skips(String),
    /// `enrich` changed these fields, or `guard` added these attributes. Empty if the marker is
    /// unchanged.
    Passed(Vec<Field>),
    /// `guard` refused the marker, for this reason.
    Refused(String),
    /// The function failed. Holds the cause and the fix.
    Failed(String),
}

/// A field of a marker that a function set or removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name in scripts: `version`, `attributes.team`.
    pub name: String,
    /// Old value, `None` if the field did not exist.
    pub old: Option<Value>,
    /// New value, `None` if the field was removed.
    pub new: Option<Value>,
}

/// The steps of one update, if tracing is on.
#[derive(Debug, Default)]
pub struct Trace {
    steps: Option<Vec<TraceStep>>,
    marker: usize,
}

impl Trace {
    /// Creates a trace that records nothing. Ordinary pushes use it.
    pub fn off() -> Self {
        Self::default()
    }

    /// Creates a trace that records every step.
    pub fn on() -> Self {
        Self { steps: Some(Vec::new()), marker: 0 }
    }

    /// Returns the recorded steps, in order.
    pub fn into_steps(self) -> Vec<TraceStep> {
        self.steps.unwrap_or_default()
    }

    fn is_on(&self) -> bool {
        self.steps.is_some()
    }

    /// Sets the marker that the next steps belong to.
    pub fn turn_to_marker(&mut self, nth: usize) {
        self.marker = nth;
    }

    fn note(&mut self, layer: &Layer, function: PolicyFunction, by: Rule, said: LayerResponse) {
        let level = layer.origin().level;
        let marker = (function != PolicyFunction::Decide).then_some(self.marker);
        if let Some(steps) = &mut self.steps {
            steps.push(TraceStep { level, function, by, marker, said });
        }
    }

    /// Records that a layer was not called, either because it lacks the function or because a more
    /// specific layer decided.
    pub(super) fn passed_over(&mut self, layer: &Layer, function: PolicyFunction) {
        if self.is_on() {
            let said =
                if layer.defines(function) { LayerResponse::NotAsked } else { LayerResponse::Undefined };
            self.note(layer, function, layer.rule(function), said);
        }
    }

    pub(super) fn decided(&mut self, layer: &Layer, said: &Result<Decision, ScriptError>) {
        if !self.is_on() {
            return;
        }
        match said {
            Ok(Decision::Skip { by, why }) => {
                self.note(layer, PolicyFunction::Decide, by.clone(), LayerResponse::Skips(why.clone()));
            }
            Ok(Decision::Marks(marks)) => {
                for mark in marks {
                    self.note(
                        layer,
                        PolicyFunction::Decide,
                        mark.by.clone(),
                        LayerResponse::Marks(mark.partial.clone()),
                    );
                }
            }
            Err(err) => self.failed(layer, PolicyFunction::Decide, err),
        }
    }

    /// Returns a copy of the marker before a call, to compare with the result. `None` if tracing is
    /// off.
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
            Ok(after) => self.passed(layer, PolicyFunction::Enrich, before, after),
            Err(err) => self.failed(layer, PolicyFunction::Enrich, err),
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
            Ok(Guarded::Passed(after)) => self.passed(layer, PolicyFunction::Guard, before, after),
            Ok(Guarded::Refused { by, why }) => {
                self.note(layer, PolicyFunction::Guard, by.clone(), LayerResponse::Refused(why.clone()));
            }
            Err(err) => self.failed(layer, PolicyFunction::Guard, err),
        }
    }

    fn passed(&mut self, layer: &Layer, function: PolicyFunction, before: &Draft, after: &Draft) {
        self.note(layer, function, layer.rule(function), LayerResponse::Passed(differences(before, after)));
    }

    fn failed(&mut self, layer: &Layer, function: PolicyFunction, err: &ScriptError) {
        self.note(layer, function, err.rule(), LayerResponse::Failed(err.message()));
    }
}

/// Returns the fields in which two markers differ: the marker's own properties first, then the
/// attributes by name.
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

/// Formats a value as in a script, on one line and of limited length.
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

impl LayerResponse {
    /// Returns true if the response comes from one line of the script and not from a whole
    /// function.
    pub fn has_line(&self) -> bool {
        matches!(self, Self::Marks(_) | Self::Skips(_) | Self::Refused(_) | Self::Failed(_))
    }
}

impl std::fmt::Display for LayerResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let because =
            |why: &str| if why.is_empty() { String::new() } else { format!("(\"{}\")", text::line(why)) };
        match self {
            Self::Undefined => f.write_str("not defined"),
            Self::NotAsked => f.write_str("not called, a more specific layer decides"),
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
