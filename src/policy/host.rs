//! What scripts can call and read: `update` and its words, `mark`, `skip`, `refuse`, `glob`.

use std::{collections::BTreeMap, rc::Rc};

use bstr::ByteSlice as _;
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, NativeCallContext, Position};

use crate::{
    facts::{Commit, FactError, Facts, Signature},
    push::{MergeStep, ObjectId, Push, RefKind},
    text,
};

/// The words of `update`.
pub(super) const WORDS: &[&str] = &[
    "ref",
    "branch",
    "tag",
    "old_id",
    "new_id",
    "commit_id",
    "is_created",
    "is_deleted",
    "is_rewind",
    "is_default_branch",
    "commits",
    "commit_count",
    "authors",
    "changed_paths",
    "version",
    "service",
    "title",
    "message",
    "author",
    "committer",
    "trailers",
    "tagger",
    "tag_message",
    "push",
];

/// The words of `update.push`.
pub(super) const PUSH_WORDS: &[&str] = &[
    "id",
    "time",
    "pusher",
    "repository",
    "options",
    "transport",
    "pull_request",
    "is_merge",
    "is_internal",
    "is_wiki",
    "is_deploy_key",
];

/// The words of the object maps that the words above lead to.
pub(super) const MAP_WORDS: &[&str] =
    &["name", "id", "email", "time", "owner", "full_name", "author", "committer"];

type Read = Result<Dynamic, Box<EvalAltResult>>;

/// `update` in a script: reads a fact when its word is asked for.
#[derive(Clone)]
pub(super) struct UpdateView(Rc<Facts>);

/// `update.push` in a script.
#[derive(Clone)]
struct PushView(Rc<Facts>);

/// Texts by names that somebody else chose: push options, trailers. Unlike a word of ours, one that is not
/// there is nothing, and no mistake.
#[derive(Clone)]
struct Texts(Rc<BTreeMap<String, String>>);

/// What `mark(#{...})` returns.
#[derive(Clone)]
pub(super) struct MarkAnswer {
    pub map: Map,
    pub line: Option<usize>,
}

/// What `skip("why")` returns.
#[derive(Clone)]
pub(super) struct SkipAnswer {
    pub why: String,
    pub line: Option<usize>,
}

/// What `refuse("why")` returns.
#[derive(Clone)]
pub(super) struct RefuseAnswer {
    pub why: String,
    pub line: Option<usize>,
}

impl UpdateView {
    pub fn new(facts: &Rc<Facts>) -> Self {
        Self(facts.clone())
    }
}

impl Texts {
    fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Dynamic {
        let texts = pairs.map(|(name, text)| (name.to_string(), text.to_string())).collect();
        Dynamic::from(Self(Rc::new(texts)))
    }

    fn get(&self, name: &str) -> Dynamic {
        self.0.get(name).map_or(Dynamic::UNIT, |text| text.clone().into())
    }
}

/// Registers everything.
///
/// Each word has a getter, which the engine finds at once; the indexer behind it is asked for those that
/// do not exist, and knows the nearest one that does.
pub(super) fn register(engine: &mut Engine) {
    for word in WORDS {
        engine.register_get(*word, move |update: &mut UpdateView| update_word(&update.0, word));
    }
    for word in PUSH_WORDS {
        engine.register_get(*word, move |push: &mut PushView| push_word(push.0.push(), word));
    }
    engine
        .register_type_with_name::<UpdateView>("update")
        .register_indexer_get(|update: &mut UpdateView, word: ImmutableString| update_word(&update.0, &word))
        .register_type_with_name::<PushView>("push")
        .register_indexer_get(|push: &mut PushView, word: ImmutableString| push_word(push.0.push(), &word))
        .register_type_with_name::<Texts>("texts")
        .register_indexer_get(|texts: &mut Texts, name: ImmutableString| texts.get(&name))
        .register_fn("contains", |texts: &mut Texts, name: &str| texts.0.contains_key(name))
        .register_fn("keys", |texts: &mut Texts| {
            texts.0.keys().cloned().map(Dynamic::from).collect::<Array>()
        })
        .register_fn("len", |texts: &mut Texts| i64::try_from(texts.0.len()).unwrap_or(i64::MAX))
        .register_type_with_name::<MarkAnswer>("mark")
        .register_type_with_name::<SkipAnswer>("skip")
        .register_type_with_name::<RefuseAnswer>("refusal")
        .register_fn("mark", |ctx: NativeCallContext<'_>, map: Map| MarkAnswer {
            map,
            line: ctx.call_position().line(),
        })
        .register_fn("mark", |ctx: NativeCallContext<'_>| MarkAnswer {
            map: Map::new(),
            line: ctx.call_position().line(),
        })
        .register_fn("skip", |ctx: NativeCallContext<'_>, why: &str| SkipAnswer {
            why: text::line(why),
            line: ctx.call_position().line(),
        })
        .register_fn("refuse", |ctx: NativeCallContext<'_>, why: &str| RefuseAnswer {
            why: text::line(why),
            line: ctx.call_position().line(),
        })
        .register_fn("glob", |pattern: &str, text: &str| glob(pattern, text));
}

/// Matches with git's own wildcards: `*` and `?` stop at a slash, `**` does not.
fn glob(pattern: &str, text: &str) -> bool {
    gix_glob::wildmatch(pattern.into(), text.into(), gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL)
}

fn update_word(facts: &Rc<Facts>, word: &str) -> Read {
    let update = facts.update();
    Ok(match word {
        "ref" => update.ref_name().to_text().into(),
        "branch" => match update.ref_name().kind() {
            RefKind::Branch(name) => name.to_str_lossy().into_owned().into(),
            RefKind::Tag(_) | RefKind::Other => Dynamic::UNIT,
        },
        "tag" => match update.ref_name().kind() {
            RefKind::Tag(name) => name.to_str_lossy().into_owned().into(),
            RefKind::Branch(_) | RefKind::Other => Dynamic::UNIT,
        },
        "old_id" => id(update.old_id()),
        "new_id" => id(update.new_id()),
        "commit_id" => id(fact(facts.commit_id())?),
        "is_created" => update.is_created().into(),
        "is_deleted" => update.is_deleted().into(),
        "is_rewind" => fact(facts.is_rewind())?.into(),
        "is_default_branch" => fact(facts.is_default_branch())?.into(),
        "commits" => {
            fact(facts.range())?.commits.iter().map(|c| commit_map(c).into()).collect::<Array>().into()
        }
        "commit_count" => i64::try_from(fact(facts.range())?.count).unwrap_or(i64::MAX).into(),
        "authors" => {
            fact(facts.range())?.authors().into_iter().map(|a| a.to_string().into()).collect::<Array>().into()
        }
        "changed_paths" => {
            let changed = fact(facts.changed_paths())?;
            changed.paths.iter().map(|path| path.to_str_lossy().into_owned().into()).collect::<Array>().into()
        }
        "version" => facts.version_tag().map_or(Dynamic::UNIT, |tag| tag.version().to_string().into()),
        "service" => facts
            .version_tag()
            .and_then(|tag| tag.service().map(ToString::to_string))
            .map_or(Dynamic::UNIT, Dynamic::from),
        "title" => of_commit(facts, |commit| commit.title.clone().into())?,
        "message" => of_commit(facts, |commit| commit.message.clone().into())?,
        "author" => of_commit(facts, |commit| person(&commit.author))?,
        "committer" => of_commit(facts, |commit| person(&commit.committer))?,
        "trailers" => of_commit(facts, |commit| {
            let lower: Vec<_> = commit.trailers.iter().map(|(k, v)| (k.to_lowercase(), v)).collect();
            Texts::of(lower.iter().map(|(name, text)| (name.as_str(), text.as_str())))
        })?,
        "tagger" => {
            let target = fact(facts.target())?;
            target.tag.as_ref().and_then(|tag| tag.tagger.as_ref()).map_or(Dynamic::UNIT, person)
        }
        "tag_message" => {
            fact(facts.target())?.tag.as_ref().map_or(Dynamic::UNIT, |tag| tag.message.clone().into())
        }
        "push" => Dynamic::from(PushView(facts.clone())),
        _ => return Err(unknown("update", word, WORDS)),
    })
}

fn push_word(push: &Push, word: &str) -> Read {
    let source = push.source();
    Ok(match word {
        "id" => push.id().to_string().into(),
        "time" => push.time().to_string().into(),
        "pusher" => source.pusher.as_ref().map_or(Dynamic::UNIT, |pusher| {
            Map::from([("name".into(), pusher.name.clone().into()), ("id".into(), number(pusher.id))]).into()
        }),
        "repository" => Map::from([
            ("owner".into(), source.repository.owner.clone().map_or(Dynamic::UNIT, Dynamic::from)),
            ("name".into(), source.repository.name.clone().into()),
            ("full_name".into(), source.repository.full_name().into()),
            ("id".into(), number(source.repository.id)),
        ])
        .into(),
        "options" => Texts::of(source.options.iter()),
        "transport" => source.transport.as_str().into(),
        "pull_request" => number(source.pull_request.and_then(|pr| pr.number)),
        "is_merge" => source.pull_request.is_some_and(|pr| pr.step == MergeStep::Merged).into(),
        "is_internal" => source.is_internal.into(),
        "is_wiki" => source.repository.is_wiki.into(),
        "is_deploy_key" => source.deploy_key_id.is_some().into(),
        _ => return Err(unknown("push", word, PUSH_WORDS)),
    })
}

fn id(id: Option<ObjectId>) -> Dynamic {
    id.map_or(Dynamic::UNIT, |id| id.to_string().into())
}

fn number(number: Option<i64>) -> Dynamic {
    number.map_or(Dynamic::UNIT, Dynamic::from)
}

fn person(signature: &Signature) -> Dynamic {
    Map::from([
        ("name".into(), signature.name.clone().into()),
        ("email".into(), signature.email.clone().into()),
        ("time".into(), signature.time.map_or(Dynamic::UNIT, |time| time.to_string().into())),
    ])
    .into()
}

fn commit_map(commit: &Commit) -> Map {
    Map::from([
        ("id".into(), commit.id.to_string().into()),
        ("title".into(), commit.title.clone().into()),
        ("author".into(), person(&commit.author)),
        ("committer".into(), person(&commit.committer)),
    ])
}

/// Returns a word of the update's commit, nothing for a tag of a tree or a blob.
fn of_commit(facts: &Facts, read: impl FnOnce(&Commit) -> Dynamic) -> Read {
    Ok(fact(facts.commit())?.as_deref().map_or(Dynamic::UNIT, read))
}

fn fact<T>(fact: Result<T, FactError>) -> Result<T, Box<EvalAltResult>> {
    fact.map_err(|err| error(err.to_string()))
}

fn unknown(of: &str, word: &str, known: &[&str]) -> Box<EvalAltResult> {
    let shown = text::line(word);
    error(match text::nearest(word, known.iter().copied()) {
        Some(near) => format!("`{of}` has no word `{shown}`, did you mean `{near}`?"),
        None => format!("`{of}` has no word `{shown}`, expected one of `{}`", known.join("`, `")),
    })
}

fn error(message: String) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.into(), Position::NONE).into()
}
