//! What a script's functions may answer, and what is wrong with any other answer.

use rhai::{Dynamic, NativeCallContext};

use super::{
    Draft, Guarded, ScriptError,
    api::{MarkAnswer, MarkerView, RefuseAnswer, SkipAnswer},
    draft,
    draft::{MAX_MARKS, Partial},
    layer::Layer,
    trace::Function,
};

/// The place in the policy that spoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    file: String,
    line: Option<usize>,
}

impl Rule {
    /// Returns the place that calls one of our functions. That may be in a script that the layer imports.
    pub(super) fn calling(context: &NativeCallContext<'_>) -> Self {
        let file = context.global_runtime_state().source().unwrap_or_default();
        Self { file: file.to_string(), line: context.call_position().line() }
    }

    /// Returns the place in which a script failed, which may be in one that the layer imports as well.
    pub(super) fn failing(err: &ScriptError) -> Self {
        Self { file: err.file().to_string(), line: err.line() }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// What the policy said of one update.
#[derive(Clone, Debug)]
pub enum Decision {
    /// No marker.
    Skip {
        /// The place that spoke.
        by: Rule,
        /// The reason, which may be empty.
        why: String,
    },
    /// These markers.
    Marks(Vec<Mark>),
}

/// A marker that `decide` asks for.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The place that asked for it.
    pub by: Rule,
    /// What it says; what it leaves out is filled in from the facts.
    pub partial: Partial,
}

/// Reads what `decide` returned.
pub(super) fn decision(layer: &Layer, said: Dynamic) -> Result<Decision, ScriptError> {
    let skip = || Decision::Skip { by: rule(layer, Function::Decide), why: String::new() };
    let at_fault = |message: String| Err(ScriptError::at(layer.name(), None, message));
    if let Ok(is_marker) = said.as_bool() {
        let mark = || Mark { by: rule(layer, Function::Decide), partial: Partial::default() };
        return Ok(if is_marker { Decision::Marks(vec![mark()]) } else { skip() });
    }
    let said = match said.try_cast_result::<SkipAnswer>() {
        Ok(answer) => return Ok(Decision::Skip { by: answer.by, why: answer.why }),
        Err(said) => said,
    };
    let said = match said.try_cast_result::<MarkAnswer>() {
        Ok(answer) => return asked(layer, vec![answer]),
        Err(said) => said,
    };
    let list = match said.try_cast_result::<rhai::Array>() {
        Ok(list) if list.is_empty() => return Ok(skip()),
        Ok(list) if list.len() > MAX_MARKS => {
            return at_fault(format!("`decide` returned {} marks, the limit is {MAX_MARKS}", list.len()));
        }
        Ok(list) => list,
        Err(said) => {
            return at_fault(format!(
                "`decide` returned {}; \
                 expected `true`, `false`, `skip(\"why\")`, `mark(#{{...}})` or an array of marks",
                shown(&said)
            ));
        }
    };
    let mut answers = Vec::with_capacity(list.len());
    for item in list {
        match item.try_cast_result::<MarkAnswer>() {
            Ok(answer) => answers.push(answer),
            Err(other) => {
                return at_fault(format!(
                    "the array that `decide` returned must hold `mark(#{{...}})` only, found {}",
                    other.type_name()
                ));
            }
        }
    }
    asked(layer, answers)
}

/// Returns the markers that were asked for.
fn asked(layer: &Layer, answers: Vec<MarkAnswer>) -> Result<Decision, ScriptError> {
    let marks: Vec<Mark> = answers
        .into_iter()
        .flat_map(|answer| {
            answer.partials.into_iter().map(move |partial| Mark { by: answer.by.clone(), partial })
        })
        .collect();
    match marks.len() {
        0 => Ok(Decision::Skip {
            by: rule(layer, Function::Decide),
            why: "the policy named no environment".into(),
        }),
        n if n > MAX_MARKS => {
            let message = format!("`decide` asked for {n} markers, the limit is {MAX_MARKS}");
            Err(ScriptError::at(layer.name(), None, message))
        }
        _ => Ok(Decision::Marks(marks)),
    }
}

/// Reads what `enrich` returned.
pub(super) fn enriched(layer: &Layer, said: Dynamic) -> Result<Draft, ScriptError> {
    let said = said.try_cast_result::<MarkerView>().map_err(|other| {
        let message = format!("`enrich` returned {}; end it with the marker: `marker`", shown(&other));
        ScriptError::at(layer.name(), None, message)
    })?;
    Ok(said.into_draft())
}

/// Reads what `guard` returned.
pub(super) fn guarded(layer: &Layer, mut draft: Draft, said: Dynamic) -> Result<Guarded, ScriptError> {
    if said.is_unit() || said.as_bool() == Ok(true) {
        return Ok(Guarded::Passed(draft));
    }
    if let Some(refusal) = said.clone().try_cast::<RefuseAnswer>() {
        return Ok(Guarded::Refused { by: refusal.by, why: refusal.why });
    }
    if said.as_bool() == Ok(false) {
        return Ok(Guarded::Refused { by: rule(layer, Function::Guard), why: String::new() });
    }
    if !said.is_map() {
        let message = format!(
            "`guard` returned {}; expected nothing, `refuse(\"why\")` or an object map of attributes to add",
            shown(&said)
        );
        return Err(ScriptError::at(layer.name(), None, message));
    }
    let added = draft::attributes(said).map_err(|message| ScriptError::at(layer.name(), None, message))?;
    for (key, value) in added {
        if draft.attributes.get(&key).is_some_and(|there| *there != value) {
            let message =
                format!("`guard` may add attributes but not change one, and `{key}` is there already");
            return Err(ScriptError::at(layer.name(), None, message));
        }
        draft.attributes.insert(key, value);
    }
    Ok(Guarded::Passed(draft))
}

/// Returns the place of an answer that has no line of its own: where the function begins.
pub(super) fn rule(layer: &Layer, function: Function) -> Rule {
    Rule { file: layer.name().to_string(), line: layer.line_of(function) }
}

fn shown(said: &Dynamic) -> String {
    if said.is_unit() { "nothing".to_string() } else { format!("a value of type {}", said.type_name()) }
}
