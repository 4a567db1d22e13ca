//! Reads refs: from files with gix, from reftables with git.

use std::ops::ControlFlow;

use bstr::{BStr, BString, ByteSlice as _};
use gix::{
    error::ResultExt as _,
    refs::{FullName, PartialNameRef, Reference, Target},
};

use super::{FactError, Repository, repository::spent_on};
use crate::{
    sys::{
        child,
        fault::{self, Step},
        time::Deadline,
    },
    work::Spent,
};

/// Maximum time that git may take to read reftables.
const TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Maximum size of a list of refs, in bytes. A million refs take 100 MB.
const MAX_LIST: u64 = 256 << 20;

/// Takes a ref, or the error of one that cannot be read. Ends the list with `Break`.
type TakeRef<'a> = dyn FnMut(Result<Reference, gix::Error>) -> Result<ControlFlow<()>, FactError> + 'a;

/// Prefixes that git tries for a partial name, in this order (gitrevisions(7)).
const PLACES: [&str; 5] = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];

impl Repository {
    /// Returns the ref with this name, which may be partial. `what` is for the error message.
    pub(super) fn find_ref(&self, name: &BStr, what: &str) -> Result<Option<Reference>, FactError> {
        if self.layout.has_reftables {
            return self.find_in_reftables(name, what);
        }
        // A text that is not a valid ref name may still be an abbreviated id.
        let Ok(partial) = <&PartialNameRef>::try_from(name) else { return Ok(None) };
        self.layout.refs()?.try_find(partial).map_err(|err| self.failed(what, &err))
    }

    /// Calls `take` for each ref whose name begins with `prefix`, ordered by name. `what` is for the
    /// error message.
    pub(super) fn each_ref(&self, prefix: &str, what: &str, take: &mut TakeRef<'_>) -> Result<(), FactError> {
        if self.layout.has_reftables {
            for reference in self.list_reftables(&[prefix], what)? {
                if take(Ok(reference))?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let refs = self.layout.refs().map_err(|err| self.noted(err))?;
        let failed = |err: &gix::Error| self.failed(what, err);
        fault::point(Step::List, &self.layout.dir.join(prefix)).or_error().map_err(|err| failed(&err))?;
        let refs = refs.iter().map_err(|err| failed(&err))?;
        let prefix = prefix.as_bytes().try_into().map_err(|err| failed(&err))?;
        for reference in refs.prefixed(prefix).or_error().map_err(|err| failed(&err))? {
            if take(reference)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Returns the full name of the ref that HEAD points to, `None` if HEAD is detached.
    pub(super) fn head_in_reftables(&self) -> Result<Option<BString>, FactError> {
        let printed = self.git("failed to read HEAD", &["symbolic-ref", "--quiet", "HEAD"], &[1])?;
        let name = printed.trim_end_with(|end| end == '\n');
        Ok((!name.is_empty()).then(|| name.into()))
    }

    fn find_in_reftables(&self, name: &BStr, what: &str) -> Result<Option<Reference>, FactError> {
        if name == "HEAD" {
            let head = self.head_in_reftables()?.and_then(|name| FullName::try_from(name).ok());
            let reference = |target| Some(Reference { name: "HEAD".try_into().ok()?, target, peeled: None });
            return Ok(head.and_then(|target| reference(Target::Symbolic(target))));
        }
        // An option or a pattern is not the name of a ref.
        let Some(name) = name.to_str().ok().filter(|name| <&PartialNameRef>::try_from(*name).is_ok()) else {
            return Ok(None);
        };
        let names: Vec<String> = PLACES
            .iter()
            .map(|place| format!("{place}{name}"))
            .filter(|name| name.starts_with("refs/"))
            .collect();
        let patterns: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = self.list_reftables(&patterns, what)?;
        let named = |name: &String| found.iter().find(|found| found.name.as_bstr() == name.as_bytes());
        Ok(names.iter().find_map(named).cloned())
    }

    fn list_reftables(&self, patterns: &[&str], what: &str) -> Result<Vec<Reference>, FactError> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let printed = self.git(what, &[&["for-each-ref", format], patterns].concat(), &[])?;
        let broken = || FactError::new(format!("{what}: git printed an unexpected line"));
        printed.lines().map(|line| reference(line).ok_or_else(broken)).collect()
    }

    /// Runs git in the repository and returns its output, which is empty for the exit statuses in
    /// `none`.
    fn git(&self, what: &str, args: &[&str], none: &[i32]) -> Result<Vec<u8>, FactError> {
        let mut command = child::command("git");
        // root looks at repositories of Gitea's user.
        command.arg("--git-dir").arg(&self.layout.dir).args(["-c", "safe.directory=*"]).args(args);
        let deadline = Deadline::after(self.allowance().time_left().min(TIME));
        let in_context = |why: String| format!("{what} with git, because it is a reftable repository: {why}");
        match child::output(&mut command, deadline, MAX_LIST) {
            Ok(Some((status, printed))) if status.success() => Ok(printed),
            Ok(Some((status, _))) if status.code().is_some_and(|code| none.contains(&code)) => Ok(Vec::new()),
            Ok(Some((status, _))) => {
                let why = format!("git failed with {status}; check that it is git 2.45 or newer");
                Err(FactError::new(in_context(why)))
            }
            Ok(None) if self.allowance().look() == Err(Spent::Time) => {
                Err(spent_on(Spent::Time, "reading refs"))
            }
            Ok(None) => {
                Err(self.noted(FactError::system(in_context(format!("git did not end within {TIME:?}")))))
            }
            Err(err) => Err(self.noted(FactError::from_io(in_context("git".into()), &err))),
        }
    }
}

/// Parses a line of `git for-each-ref`.
fn reference(line: &[u8]) -> Option<Reference> {
    let mut words = line.split_str(" ");
    let id = gix::ObjectId::from_hex(words.next()?).ok()?;
    let name = FullName::try_from(words.next()?.as_bstr().to_owned()).ok()?;
    let target = match words.next()? {
        b"" => Target::Object(id),
        symbolic => Target::Symbolic(FullName::try_from(symbolic.as_bstr().to_owned()).ok()?),
    };
    Some(Reference { name, target, peeled: None })
}
