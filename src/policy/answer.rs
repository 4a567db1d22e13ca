//! Reads the return values of a script's functions, and explains what is wrong with an invalid one.

use rhai::Dynamic;

use super::{
    Draft, Guarded, Level, Rule, ScriptError,
    api::{self, MarkAnswer, MarkerView, RefuseAnswer, SkipAnswer},
    draft::{MAX_MARKS, Partial},
    layer::{Layer, PolicyFunction},
};
use crate::text;

/// The policy's decision on one update.
#[derive(Clone, Debug)]
pub enum Decision {
    /// The update gets no marker.
    Skip {
        /// Rule that decided it.
        by: Rule,
        /// The reason, which may be empty.
        why: String,
    },
    /// The update gets these markers.
    Marks(Vec<Mark>),
}

/// A marker that `decide` asks for.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Layer that asked for it.
    pub level: Level,
    /// Rule that asked for it.
    pub by: Rule,
    /// Fields that the script set. The rest are filled in from the facts.
    pub partial: Partial,
}

/// Reads the return value of `decide`.
pub(super) fn decision(layer: &Layer, said: Dynamic) -> Result<Decision, ScriptError> {
    let skip = || Decision::Skip { by: layer.rule(PolicyFunction::Decide), why: String::new() };
    let at_fault = |message: String| Err(layer.error_in(PolicyFunction::Decide, message));
    if let Ok(is_marker) = said.as_bool() {
        let by = layer.rule(PolicyFunction::Decide);
        let mark = || Mark { level: layer.origin().level, by, partial: Partial::default() };
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
            return at_fault(wrong(PolicyFunction::Decide, &said));
        }
    };
    let mut answers = Vec::with_capacity(list.len());
    for item in list {
        match item.try_cast_result::<MarkAnswer>() {
            Ok(answer) => answers.push(answer),
            Err(other) => {
                return at_fault(format!(
                    "the array that `decide` returned must hold `mark(#{{...}})` only, found {}",
                    api::type_of(&other)
                ));
            }
        }
    }
    asked(layer, answers)
}

/// Collects the marks of all answers.
fn asked(layer: &Layer, answers: Vec<MarkAnswer>) -> Result<Decision, ScriptError> {
    let level = layer.origin().level;
    let marks: Vec<Mark> = answers
        .into_iter()
        .flat_map(|answer| {
            answer.properties.into_partials().into_iter().map(move |partial| Mark {
                level,
                by: answer.by.clone(),
                partial,
            })
        })
        .collect();
    match marks.len() {
        0 => Ok(Decision::Skip {
            by: layer.rule(PolicyFunction::Decide),
            why: "the policy gave an empty list of environments".into(),
        }),
        n if n > MAX_MARKS => {
            let message = format!("`decide` asked for {n} markers, the limit is {MAX_MARKS}");
            Err(layer.error_in(PolicyFunction::Decide, message))
        }
        _ => Ok(Decision::Marks(marks)),
    }
}

/// Reads the return value of `enrich`.
pub(super) fn enriched(layer: &Layer, said: Dynamic) -> Result<Draft, ScriptError> {
    let said = said
        .try_cast_result::<MarkerView>()
        .map_err(|other| layer.error_in(PolicyFunction::Enrich, wrong(PolicyFunction::Enrich, &other)))?;
    Ok(said.into_draft())
}

/// Reads the return value of `guard`.
pub(super) fn guarded(layer: &Layer, mut draft: Draft, said: Dynamic) -> Result<Guarded, ScriptError> {
    if said.is_unit() || said.as_bool() == Ok(true) {
        return Ok(Guarded::Passed(draft));
    }
    if let Some(refusal) = said.clone().try_cast::<RefuseAnswer>() {
        return Ok(Guarded::Refused { by: refusal.by, why: refusal.why });
    }
    if said.as_bool() == Ok(false) {
        return Ok(Guarded::Refused { by: layer.rule(PolicyFunction::Guard), why: String::new() });
    }
    if !said.is_map() {
        return Err(layer.error_in(PolicyFunction::Guard, wrong(PolicyFunction::Guard, &said)));
    }
    let added = api::attributes(said).map_err(|message| layer.error_in(PolicyFunction::Guard, message))?;
    for (key, value) in added {
        if draft.attributes.get(&key).is_some_and(|there| *there != value) {
            let key = text::line(&*key);
            let message =
                format!("`guard` may add attributes but not change them, and `{key}` already exists");
            return Err(layer.error_in(PolicyFunction::Guard, message));
        }
        draft.attributes.insert(key, value);
    }
    Ok(Guarded::Passed(draft))
}

/// Returns the message for a function that returned a wrong value.
fn wrong(function: PolicyFunction, said: &Dynamic) -> String {
    let found = if said.is_unit() { "nothing".into() } else { api::type_of(said) };
    format!("`{}` returned {found}; {}", function.as_str(), function.expected())
}
