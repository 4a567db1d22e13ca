//! The text of Gitea's `.gitconfig`, with our block in it and without. Everything else stays as it is, byte for byte.

use std::{fmt, ops::Range};

use bstr::{BString, ByteSlice as _};

use super::{
    block::{Block, END, HOOK, is_section_of_hook},
    command::MARK,
    entries::{Entries, Unreadable},
};

/// The text of a configuration file of git's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitConfig {
    text: Vec<u8>,
    /// Where our block is, without the newline after it.
    block: Option<Range<usize>>,
}

/// Why a configuration file of git's is left as it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    /// git could not read it either.
    Malformed {
        /// The line where it goes wrong.
        line: usize,
    },
    /// Our block has no end, or another beginning.
    Torn {
        /// The line of its beginning.
        line: usize,
    },
    /// Somebody else's section has the name of ours.
    Foreign {
        /// The line of the section.
        line: usize,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { .. } => f.write_str("git cannot read this line"),
            Self::Torn { .. } => write!(
                f,
                "the lines of gitea-lightstep begin here and have no end; take them out by hand, down to `{END}`"
            ),
            Self::Foreign { .. } => write!(
                f,
                "this [hook \"{HOOK}\"] was not made by `gitea-lightstep install`; take it out by hand, with all of its keys at once"
            ),
        }
    }
}

impl Unfit {
    /// Returns the line that it is about.
    pub fn line(&self) -> usize {
        match self {
            Self::Malformed { line } | Self::Torn { line } | Self::Foreign { line } => *line,
        }
    }
}

impl GitConfig {
    /// Reads a file; one that is not there is empty.
    ///
    /// # Errors
    /// If it is not fit to be changed.
    pub fn parse(text: Vec<u8>) -> Result<Self, Unfit> {
        let block = find_block(&text)?;
        let config = Self { text, block };
        match config.others()?.iter().find(|entry| entry.is_in("hook", Some(HOOK))) {
            Some(foreign) => Err(Unfit::Foreign { line: config.line_in_file(foreign.line) }),
            None => Ok(config),
        }
    }

    /// Returns the text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Returns what our block says, if there is one and it says what we could have written.
    pub fn block(&self) -> Option<Block> {
        let block = self.block.clone()?;
        Block::parse(&self.text[block])
    }

    /// Returns whether there is a block of ours, whatever it says.
    pub fn has_block(&self) -> bool {
        self.block.is_some()
    }

    /// Returns the template directory that somebody else set, as it is written, and the line.
    pub fn template_dir(&self) -> Option<(BString, usize)> {
        let others = self.others().ok()?;
        let entry = others.iter().rfind(|entry| entry.is("init", None, "templateDir"))?;
        Some((entry.value.clone(), self.line_in_file(entry.line)))
    }

    /// Returns the text with this block in it, where the old one was or at the end.
    pub fn with(&self, block: &Block) -> Vec<u8> {
        let new = block.text();
        match &self.block {
            Some(range) => {
                let kept = self.kept_of_block();
                // What came into the block by git's own doing goes behind it.
                let kept = if kept.is_empty() { kept } else { [b"\n", &*kept].concat() };
                [&self.text[..range.start], &new, &kept, &self.text[range.end..]].concat()
            }
            // A file that does not end with a newline is one that still does not: so it can be told at removal.
            None if self.text.ends_with(b"\n") => [&self.text[..], &new, b"\n"].concat(),
            None if self.text.is_empty() => new,
            None => [&self.text[..], b"\n", &new].concat(),
        }
    }

    /// Returns the text of a file that was not there before.
    pub fn new_with(block: &Block) -> Vec<u8> {
        [&block.text()[..], b"\n"].concat()
    }

    /// Returns the text without our block.
    pub fn without(&self) -> Vec<u8> {
        let Some(range) = &self.block else { return self.text.clone() };
        let kept = self.kept_of_block();
        let (before, after) = (&self.text[..range.start], &self.text[range.end..]);
        match after.strip_prefix(b"\n") {
            Some(after) if kept.is_empty() => [before, after].concat(),
            Some(after) => [before, &kept, b"\n", after].concat(),
            // The block ends the file, and the file ends without a newline, as it did before.
            None if kept.is_empty() => before.strip_suffix(b"\n").unwrap_or(before).to_vec(),
            None => [before, &kept].concat(),
        }
    }

    /// Returns the lines of the block that are none of ours, without the newline at their end: `git config` puts a new
    /// key behind the last one of its section, and that may be ours.
    fn kept_of_block(&self) -> Vec<u8> {
        let Some(range) = &self.block else { return Vec::new() };
        let own = Block::parse(&self.text[range.clone()]).map(|block| block.text());
        let own: Vec<&[u8]> = own.as_deref().unwrap_or_default().lines().collect();
        let is_section = |line: &[u8]| line.trim_ascii_start().starts_with(b"[");
        let mut kept = Vec::new();
        let mut is_in_hook = false;
        for line in self.text[range.clone()].lines() {
            if is_section(line) {
                // All of our hook goes: an event that was left without its command would fail every push.
                is_in_hook = is_section_of_hook(line);
            }
            if !is_in_hook && !own.contains(&line) && !line.starts_with(MARK.as_bytes()) {
                kept.push(line);
            }
        }
        if kept.iter().all(|line| line.trim_ascii().is_empty()) {
            return Vec::new();
        }
        // Keys need the header that they stood under.
        let header = own.iter().copied().filter(|line| is_section(line) && !is_section(kept[0]));
        header.chain(kept.iter().copied()).collect::<Vec<_>>().join(&b'\n')
    }

    /// Reads everything outside of our block.
    fn others(&self) -> Result<Entries, Unfit> {
        let outside = match &self.block {
            Some(range) => [&self.text[..range.start], &self.text[range.end..]].concat(),
            None => self.text.clone(),
        };
        Entries::read(&outside)
            .map_err(|Unreadable { line }| Unfit::Malformed { line: self.line_in_file(line) })
    }

    /// Returns the line of the file that is this line of what is outside of our block.
    fn line_in_file(&self, line: usize) -> usize {
        let Some(range) = &self.block else { return line };
        let before = line_of(&self.text, range.start);
        if line < before { line } else { line + line_of(&self.text[range.clone()], range.len()) - 1 }
    }
}

/// Finds our block by its first and last line.
fn find_block(text: &[u8]) -> Result<Option<Range<usize>>, Unfit> {
    let begins = format!("{MARK}begin");
    let ends = format!("{MARK}end");
    let mut block: Option<Range<usize>> = None;
    let mut open = None;
    let mut at = 0;
    for (nth, line) in text.lines_with_terminator().enumerate() {
        if line.starts_with(begins.as_bytes()) {
            if open.is_some() || block.is_some() {
                return Err(Unfit::Torn { line: nth + 1 });
            }
            open = Some((at, nth + 1));
        } else if let Some((start, _)) = open.filter(|_| line.starts_with(ends.as_bytes())) {
            block = Some(start..at + line.strip_suffix(b"\n").unwrap_or(line).len());
            open = None;
        }
        at += line.len();
    }
    match open {
        Some((_, line)) => Err(Unfit::Torn { line }),
        None => Ok(block),
    }
}

/// Returns the line of a place in a text, from 1.
fn line_of(text: &[u8], at: usize) -> usize {
    text[..at].find_iter("\n").count() + 1
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::ffi::OsStrExt as _,
        path::{Path, PathBuf},
        process::Command,
    };

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::install::{HookCommand, command::tests::path};

    /// A file that git is asked about.
    struct File {
        dir: TempDir,
    }

    impl File {
        fn holding(text: &[u8]) -> Self {
            let dir =
                tempfile::Builder::new().prefix("gitea-lightstep-test-").tempdir().expect("a directory");
            fs::write(dir.path().join("config"), text).expect("a file");
            Self { dir }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("config")
        }

        /// Has git do something with the file, and returns what it printed.
        fn git(&self, args: &[&str]) -> Vec<u8> {
            let mut git = Command::new("git");
            let ran = git.args(["config", "--file"]).arg(self.path()).args(args).output().expect("git");
            assert!(ran.status.success(), "git config {args:?}: {}", ran.stderr.as_bstr());
            ran.stdout
        }

        /// Returns everything that git reads in it.
        fn entries(&self) -> Vec<BString> {
            self.git(&["--list", "-z"]).split_str("\0").map(BString::from).collect()
        }
    }

    fn hook(binary: &Path, config: &Path) -> Block {
        Block::Hook(HookCommand::new(binary.into(), config.into()).expect("fit"))
    }

    fn blocks() -> [Block; 3] {
        let dir = PathBuf::from("/srv/\"templates\"");
        [
            hook("/opt/b".as_ref(), "/etc/c".as_ref()),
            Block::Template(dir.clone()),
            Block::Joined { dir, made: 2 },
        ]
    }

    fn parsed(text: &[u8]) -> GitConfig {
        GitConfig::parse(text.to_vec()).unwrap_or_else(|unfit| panic!("line {}: {unfit}", unfit.line()))
    }

    #[test]
    fn every_other_byte_stays_and_git_reads_the_rest_as_before() {
        for text in [
            "",
            "\n",
            "[user]\n\tname = G\n",
            "[user]\n\tname = G",
            "[user]\r\n\tname = G\r\n",
            "[user] name = G ; no\n\n\n",
            "\u{feff}[user]\n\tname = \"a \\\"b\\\" # c\"\n",
            "[a]\n\tb = c\\\n d\n",
            "[a]\n\tb = c\\",
            "# only a comment",
        ] {
            let before = File::holding(text.as_bytes()).entries();
            for block in blocks() {
                let new = parsed(text.as_bytes()).with(&block);
                let with = parsed(&new);
                assert_eq!(with.block(), Some(block.clone()), "{text:?}");
                assert_eq!(with.without().as_bstr(), text.as_bytes().as_bstr(), "{text:?}");
                let mut after = File::holding(&new).entries();
                after.retain(|entry| {
                    !entry.starts_with(b"hook.gitea-lightstep.") && !entry.starts_with(b"init.templatedir")
                });
                assert_eq!(after, before, "{text:?}");
                // From one way to another, and back.
                for other in blocks() {
                    let changed = parsed(&with.with(&other));
                    assert_eq!(changed.block(), Some(other), "{text:?}");
                    assert_eq!(changed.without().as_bstr(), text.as_bytes().as_bstr(), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn what_git_puts_into_our_block_stays_when_it_is_taken_out() {
        for end in ["\n", "[core]\n\tbare = true\n"] {
            let text = parsed(b"[user]\n\tname = G\n").with(&Block::Template("/srv/templates".into()));
            let file = File::holding(&[&text, end.as_bytes()].concat());
            file.git(&["init.defaultBranch", "trunk"]);
            let config = parsed(&fs::read(file.path()).expect("the file"));
            assert_eq!(config.block(), Some(Block::Template("/srv/templates".into())));
            for text in [config.without(), config.with(&blocks()[0]), config.with(&blocks()[2])] {
                let file = File::holding(&text);
                assert_eq!(file.git(&["init.defaultBranch"]), b"trunk\n");
                assert_eq!(file.git(&["user.name"]), b"G\n");
                assert!(!file.entries().iter().any(|entry| entry.starts_with(b"init.templatedir")));
            }
        }
    }

    #[test]
    fn whatever_was_added_to_our_hook_goes_with_it() {
        let text = parsed(b"[a]\n\tb = c\n").with(&blocks()[0]);
        let file = File::holding(&text);
        file.git(&["hook.gitea-lightstep.enabled", "false"]);
        let config = parsed(&fs::read(file.path()).expect("the file"));
        assert_eq!(config.block(), Some(blocks()[0].clone()));
        assert_eq!(config.without().as_bstr(), "[a]\n\tb = c\n");
    }

    #[test]
    fn a_template_directory_of_somebody_else_is_found_and_the_last_one_counts() {
        let config = parsed(b"[init]\n\ttemplateDir = /a\n[INIT]\n\n\tTEMPLATEDIR = \"/b c\"\n");
        assert_eq!(config.template_dir(), Some(("/b c".into(), 5)));
        let with = parsed(&config.with(&blocks()[0]));
        assert_eq!(with.template_dir(), Some(("/b c".into(), 5)));
        let behind = [&blocks()[1].text(), &b"\n[init]\n\ttemplateDir = /z"[..]].concat();
        assert_eq!(parsed(&behind).template_dir(), Some(("/z".into(), 6)));
        assert_eq!(parsed(&blocks()[1].text()).template_dir(), None);
    }

    #[test]
    fn a_file_that_is_not_fit_is_named_by_its_line() {
        let text = |block: &Block| String::from_utf8(block.text()).expect("text");
        let ours = text(&blocks()[0]);
        for (what, unfit) in [
            ("[user\n".to_string(), Unfit::Malformed { line: 1 }),
            (format!("[a]\n{ours}\n[b\n"), Unfit::Malformed { line: 7 }),
            (ours.replace(END, ""), Unfit::Torn { line: 1 }),
            (format!("\n{ours}\n{ours}"), Unfit::Torn { line: 7 }),
            ("[a]\n[hook \"gitea-lightstep\"]\n\tevent = update\n".to_string(), Unfit::Foreign { line: 2 }),
            (format!("{ours}\n[Hook \"gitea-lightstep\"]\n"), Unfit::Foreign { line: 6 }),
        ] {
            assert_eq!(GitConfig::parse(what.clone().into()), Err(unfit), "{what}");
        }
        // Of another case it is another hook.
        parsed(b"[hook \"Gitea-Lightstep\"]\n\tcommand = true\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn git_reads_what_was_written(binary in path(), config in path()) {
            let block = hook(&binary, &config);
            let Block::Hook(command) = &block else { unreachable!() };
            let text = GitConfig::new_with(&block);
            let read = File::holding(&text).git(&["--get", "hook.gitea-lightstep.command"]);
            prop_assert_eq!(BString::from(read), BString::from([&*command.config_hook(), b"\n"].concat()));
            prop_assert_eq!(parsed(&text).block(), Some(block.clone()));

            let template = Block::Template(binary.clone());
            let text = GitConfig::new_with(&template);
            let read = File::holding(&text).git(&["--get", "init.templateDir"]);
            let printed = [binary.as_os_str().as_bytes(), b"\n"].concat();
            prop_assert_eq!(BString::from(read), BString::from(printed));
            let joined = Block::Joined { dir: binary, made: 1 };
            prop_assert_eq!(parsed(&GitConfig::new_with(&joined)).block(), Some(joined.clone()));
        }
    }
}
