//! Render scripts: what a destination of `kind = "http"` is sent, made of a marker by a script in the sandbox of the
//! policies. A script gets no secret to see, and no other host to send to.

mod encode;
pub(super) mod functions;
mod json;
mod reply;
mod request;
mod sealed;
mod subject;

use std::collections::BTreeMap;

use rhai::{AST, Dynamic, FuncArgs};

pub use request::{Opened, Request};
pub use subject::Subject;

use self::{
    reply::ReplyView,
    request::{MAX_REQUESTS, kind_of},
    subject::SubjectView,
};
use super::{
    Finding, PolicyError, ScriptError,
    api::{SkipAnswer, Texts},
    engine::Sandbox,
    sizes,
    source::Source,
};
use crate::{
    config::{Http, Kind, Limits, RenderScript},
    text,
    time::Deadline,
};

/// How much is told of why a server's answer is no yes, in characters.
const MAX_WHY: usize = 1000;

/// A compiled render script.
pub struct Renderer {
    sandbox: Sandbox,
    name: String,
    source: String,
    ast: AST,
    /// Where the body of each of its functions begins.
    lines: BTreeMap<String, Option<usize>>,
    limits: Limits,
}

/// What a script makes of a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// Nothing: it is not for this destination.
    Nothing {
        /// The reason that the script gave, empty if it gave none.
        why: String,
    },
    /// Requests, to be made one after the other.
    Requests(Vec<Request>),
}

/// What a script says of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The marker is there.
    Yes,
    /// It was refused for good, and why.
    No(String),
    /// It may work later, and why it did not.
    Later(String),
}

impl Renderer {
    /// Reads and compiles the script of a destination.
    ///
    /// # Errors
    /// If it cannot be read or compiled, or has no `render(marker)`.
    pub fn load(http: &Http, limits: &Limits) -> Result<Self, PolicyError> {
        let (name, source) = match &http.render {
            RenderScript::Shipped(shipped) => (shipped.place(), shipped.text.to_string()),
            RenderScript::File(path) => {
                let source = Source::read(path)?;
                (source.name, source.text)
            }
        };
        let settings = http.settings.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let secrets: Vec<String> = http.secrets.keys().cloned().collect();
        let sandbox = Sandbox::for_rendering(limits, Texts::of(settings), &secrets);
        let ast = sandbox.compile(&name, &source)?;
        let mut lines = BTreeMap::new();
        for function in ast.iter_fn_def() {
            let known = functions::GIVEN.iter().find(|(known, _)| *known == function.name);
            let Some((known, given)) = known else { continue };
            if function.params.len() != given.len() {
                let (wanted, found) = (text::count(given.len(), "parameter"), function.params.len());
                let at = function.body.start_position();
                let message = format!("`{known}` takes {wanted}, found {found}");
                return Err(ScriptError::at_position(&name, at, message).into());
            }
            lines.insert((*known).to_string(), function.body.start_position().line());
        }
        if !lines.contains_key("render") {
            let message = "the script does not define `render(marker)`, which answers the request to make";
            return Err(ScriptError::at(&name, None, message).into());
        }
        Ok(Self { sandbox, name, source, ast, lines, limits: *limits })
    }

    /// Returns the file, or what stands for it where the script is in the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what cannot work in the script although it compiles.
    pub fn findings(&self) -> Vec<Finding> {
        self.sandbox.lint(&self.ast)
    }

    /// Returns whether the script has this name in it anywhere: a setting or a secret that it never names does nothing.
    pub fn names(&self, name: &str) -> bool {
        let mut words = self.source.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| word == name)
    }

    /// Asks what a marker becomes.
    ///
    /// # Errors
    /// If the script fails, or answers something that is no request.
    pub fn render(&self, subject: &Subject) -> Result<Rendered, ScriptError> {
        let _confined = self.sandbox.confine();
        let said = self.call("render", (SubjectView::new(subject),))?;
        rendered(said).map_err(|why| self.failed("render", &why))
    }

    /// Asks for a request that changes nothing, with which it can be seen whether the destination knows us.
    ///
    /// # Errors
    /// If the script fails, or answers something that is no request.
    pub fn probe(&self) -> Result<Option<Request>, ScriptError> {
        if !self.lines.contains_key("probe") {
            return Ok(None);
        }
        let _confined = self.sandbox.confine();
        let said = self.call("probe", ())?;
        match rendered(said).map_err(|why| self.failed("probe", &why))? {
            Rendered::Nothing { .. } => Ok(None),
            Rendered::Requests(requests) => Ok(requests.into_iter().next()),
        }
    }

    /// Asks whether an answer with a status of success is one.
    ///
    /// # Errors
    /// If the script fails, or answers something else.
    pub fn accepts(&self, status: u16, body: &str) -> Result<Accepted, ScriptError> {
        if !self.lines.contains_key("accepts") {
            return Ok(Accepted::Yes);
        }
        let _confined = self.sandbox.confine();
        let said = self.call("accepts", (ReplyView::new(status, body),))?;
        accepted(&said).map_err(|why| self.failed("accepts", &why))
    }

    /// Calls the script as a delivery would, with a marker of each kind that could be one, and returns what comes of each,
    /// then of `probe`, or what is wrong.
    pub fn rehearse(&self, kinds: &[Kind]) -> (Vec<(Kind, Rendered)>, Vec<ScriptError>) {
        let (mut rendered, mut errors) = (Vec::new(), Vec::new());
        for kind in kinds {
            match self.render(&Subject::sample(*kind)) {
                Ok(what) => rendered.push((*kind, what)),
                Err(err) => errors.push(err),
            }
        }
        errors.extend(self.probe().err());
        errors.dedup();
        (rendered, errors)
    }

    fn call(&self, function: &str, args: impl FuncArgs) -> Result<Dynamic, ScriptError> {
        let line = self.lines.get(function).copied().flatten();
        let deadline = Deadline::after(self.limits.time);
        self.sandbox.call_in(&self.name, &self.ast, (function, line), args, deadline)
    }

    /// What is wrong with an answer is in no line of its own.
    fn failed(&self, function: &str, why: &str) -> ScriptError {
        let line = self.lines.get(function).copied().flatten();
        let why = text::line_of(why, MAX_WHY);
        ScriptError::at(&self.name, None, format!("`{function}` answered: {why}")).or_in(function, line)
    }
}

fn rendered(said: Dynamic) -> Result<Rendered, String> {
    const WANTED: &str = "expected `#{ path: ... }`, an array of such requests, `()` or skip(\"why\")";
    sizes::check(&said).map_err(|err| err.to_string())?;
    if said.is_unit() {
        return Ok(Rendered::Nothing { why: String::new() });
    }
    if let Some(skip) = said.read_lock::<SkipAnswer>() {
        return Ok(Rendered::Nothing { why: skip.why.clone() });
    }
    if let Ok(map) = said.as_map_ref() {
        return Ok(Rendered::Requests(vec![Request::read(&map)?]));
    }
    let Ok(array) = said.into_array() else {
        return Err(format!("that is no request: {WANTED}"));
    };
    if array.len() > MAX_REQUESTS {
        return Err(format!("a marker is at most {MAX_REQUESTS} requests, found {}", array.len()));
    }
    if array.is_empty() {
        return Ok(Rendered::Nothing { why: String::new() });
    }
    let each = |(nth, entry): (usize, &Dynamic)| match entry.as_map_ref() {
        Ok(map) => Request::read(&map).map_err(|why| format!("request {}: {why}", nth + 1)),
        Err(_) => Err(format!("request {} is {}: {WANTED}", nth + 1, kind_of(entry))),
    };
    Ok(Rendered::Requests(array.iter().enumerate().map(each).collect::<Result<_, _>>()?))
}

fn accepted(said: &Dynamic) -> Result<Accepted, String> {
    if let Ok(true) = said.as_bool() {
        return Ok(Accepted::Yes);
    }
    if let Ok(why) = said.as_immutable_string_ref() {
        return Ok(Accepted::No(text::line_of(why.as_str(), MAX_WHY)));
    }
    if let Ok(map) = said.as_map_ref()
        && let Some(why) = map.get("again").and_then(|why| why.as_immutable_string_ref().ok())
    {
        return Ok(Accepted::Later(text::line_of(why.as_str(), MAX_WHY)));
    }
    let found = if said.is_bool() { "`false`" } else { kind_of(said) };
    Err(format!(
        "expected `true`, a text that says why not, or `#{{ again: \"why\" }}` to have it sent again later; found {found}"
    ))
}

#[cfg(test)]
mod tests;
