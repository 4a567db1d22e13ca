//! Render scripts, which turn a marker into requests to a destination of `kind = "http"`. They run
//! in the same sandbox as policies. A script cannot read secrets, and can only send to the
//! destination's host.

pub(super) mod functions;
mod json;
mod outgoing_marker;
mod reply;
mod request;
mod secret_template;

use rhai::{Dynamic, FuncArgs};

pub(crate) use json::json_of_bytes;
pub use request::{Opened, RenderedRequest};

use self::{
    functions::RENDER,
    json::kind_of,
    outgoing_marker::{OutgoingMarkerView, sample},
    reply::ReplyView,
    request::MAX_REQUESTS,
};
use super::{
    LintFinding, PolicyError, ScriptError,
    api::{SkipAnswer, StringMap},
    engine::ScriptEngine,
    lint,
    script::Script,
    sizes,
    source::ScriptSource,
};
use crate::{
    config::{Http, Limits, RenderScript},
    marker::{Kind, Marker},
    sys::time::Deadline,
    text::{self, Hinted},
};

/// Maximum length of an error message or of a reason for a rejection, in characters.
const MAX_WHY: usize = 1000;

/// A compiled render script.
pub struct Renderer {
    sandbox: ScriptEngine,
    source: String,
    script: Script,
    limits: Limits,
}

/// The result of rendering a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// The marker is not sent to this destination.
    Nothing {
        /// Reason from the script, empty if it gave none.
        why: String,
    },
    /// Requests to send in order.
    Requests(Vec<RenderedRequest>),
}

/// The script's verdict on a server's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The server accepted the marker.
    Yes,
    /// The server rejected it permanently, for this reason.
    No(String),
    /// The server could not take it now, for this reason. A later retry may succeed.
    Later(String),
}

impl Renderer {
    /// Reads and compiles the script of a destination.
    ///
    /// # Errors
    /// If the script cannot be read or compiled, or does not define `render(marker)`.
    pub fn load(http: &Http, limits: &Limits) -> Result<Self, PolicyError> {
        let (name, source) = match &http.render {
            RenderScript::Shipped(shipped) => (shipped.place(), shipped.text.to_string()),
            RenderScript::File(path) => {
                let source = ScriptSource::read(path)?;
                (source.name, source.text)
            }
        };
        let settings = http.settings.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let secrets: Vec<String> = http.secrets.keys().cloned().collect();
        let sandbox = ScriptEngine::for_rendering(limits, &RENDER, StringMap::of(settings), |engine| {
            functions::register(engine, &secrets);
        });
        let script = Script::compile(&sandbox, name, &source)?;
        if !script.defines("render") {
            let message = "the script does not define `render(marker)`, which returns the request to send";
            return Err(ScriptError::at(script.name(), None, message).into());
        }
        Ok(Self { sandbox, source, script, limits: *limits })
    }

    /// Returns the path of the script, or a name for a script that is part of the program.
    pub fn name(&self) -> &str {
        self.script.name()
    }

    /// Reports code that compiles but cannot work.
    pub fn findings(&self) -> Vec<LintFinding> {
        lint::lint(&self.sandbox, &self.script)
    }

    /// Returns true if the name occurs anywhere in the script. A setting or secret that does not
    /// occur has no effect.
    pub fn names(&self, name: &str) -> bool {
        let mut words = self.source.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|word| word == name)
    }

    /// Turns a marker into requests.
    ///
    /// # Errors
    /// If the script fails or returns an invalid request.
    pub fn render(&self, marker: &Marker) -> Result<Rendered, ScriptError> {
        let _confined = self.sandbox.confine();
        let said = self.call("render", (OutgoingMarkerView::new(marker),))?;
        rendered(said).map_err(|why| self.failed("render", why))
    }

    /// Returns the script's requests for testing the connection. They must not change anything on
    /// the server.
    ///
    /// # Errors
    /// If the script fails or returns an invalid request.
    pub fn probe(&self) -> Result<Vec<RenderedRequest>, ScriptError> {
        if !self.script.defines("probe") {
            return Ok(Vec::new());
        }
        let _confined = self.sandbox.confine();
        let said = self.call("probe", ())?;
        match rendered(said).map_err(|why| self.failed("probe", why))? {
            Rendered::Nothing { .. } => Ok(Vec::new()),
            Rendered::Requests(requests) => Ok(requests),
        }
    }

    /// Asks the script if a response with a success status really is a success.
    ///
    /// # Errors
    /// If the script fails or returns an invalid value.
    pub fn accepts(&self, status: u16, body: &str) -> Result<Accepted, ScriptError> {
        if !self.script.defines("accepts") {
            return Ok(Accepted::Yes);
        }
        let _confined = self.sandbox.confine();
        let said = self.call("accepts", (ReplyView::new(status, body),))?;
        accepted(&said).map_err(|why| self.failed("accepts", why))
    }

    /// Runs the script with a sample marker of each kind, and then runs `probe`. Returns the
    /// results and the errors.
    pub fn rehearse(&self, kinds: &[Kind]) -> (Vec<(Kind, Rendered)>, Vec<ScriptError>) {
        let (mut rendered, mut errors) = (Vec::new(), Vec::new());
        for kind in kinds {
            match self.render(&sample(*kind)) {
                Ok(what) => rendered.push((*kind, what)),
                Err(err) => errors.push(err),
            }
        }
        errors.extend(self.probe().err());
        errors.dedup();
        (rendered, errors)
    }

    fn call(&self, function: &str, args: impl FuncArgs) -> Result<Dynamic, ScriptError> {
        self.script.call(&self.sandbox, function, args, Deadline::of_cpu(self.limits.time))
    }

    /// Creates the error for an invalid return value. It has no line, so the function's first line
    /// stands for it.
    fn failed(&self, function: &str, why: Hinted) -> ScriptError {
        let Hinted { message, hint } = why;
        let message = format!("`{function}` returned a wrong value: {}", text::line_of(message, MAX_WHY));
        ScriptError::at(self.script.name(), None, Hinted { message, hint })
            .or_in(function, self.script.start_of(function))
    }
}

fn rendered(said: Dynamic) -> Result<Rendered, Hinted> {
    const WANTED: &str = "expected `#{ path: ... }`, an array of such requests, `()` or skip(\"why\")";
    sizes::check(&said).map_err(|err| err.to_string())?;
    if said.is_unit() {
        return Ok(Rendered::Nothing { why: String::new() });
    }
    if let Some(skip) = said.read_lock::<SkipAnswer>() {
        return Ok(Rendered::Nothing { why: skip.why.clone() });
    }
    if let Ok(map) = said.as_map_ref() {
        return Ok(Rendered::Requests(vec![RenderedRequest::read(&map)?]));
    }
    let Ok(array) = said.into_array() else {
        return Err(format!("this is not a request: {WANTED}").into());
    };
    if array.len() > MAX_REQUESTS {
        let found = array.len();
        return Err(format!("a marker may take at most {MAX_REQUESTS} requests, found {found}").into());
    }
    if array.is_empty() {
        return Ok(Rendered::Nothing { why: String::new() });
    }
    let each = |(nth, entry): (usize, &Dynamic)| match entry.as_map_ref() {
        Ok(map) => RenderedRequest::read(&map).map_err(|Hinted { message, hint }| Hinted {
            message: format!("request {}: {message}", nth + 1),
            hint,
        }),
        Err(_) => Err(format!("request {} is {}: {WANTED}", nth + 1, kind_of(entry)).into()),
    };
    Ok(Rendered::Requests(array.iter().enumerate().map(each).collect::<Result<_, _>>()?))
}

fn accepted(said: &Dynamic) -> Result<Accepted, Hinted> {
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
    let found = if said.is_bool() { "`false`" } else { &kind_of(said) };
    Err(format!(
        "expected `true`, a string that says why not, or `#{{ again: \"why\" }}` to retry later; found \
         {found}"
    )
    .into())
}

#[cfg(test)]
mod tests;
