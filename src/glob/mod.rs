//! Matches git's wildcard patterns in time linear in the text. `*` and `?` stop at a slash; `**`
//! between slashes does not.
//!
//! Git's and gix's matchers backtrack, which is exponential in the number of `**/`. Here a pattern
//! is compiled to a list of tokens, and the matcher keeps the set of tokens that may come next.
//! Each byte of text visits each token at most once. A tree walk uses the set after a directory's
//! path to prune: if it is empty, nothing in the directory can match.

mod set;

use set::set;

use crate::work::{Allowance, Spent};

/// Maximum length of a pattern, in bytes.
const MAX_PATTERN: usize = 1024;
/// Maximum number of `*` and `**` in a pattern.
const MAX_STARS: usize = 128;

/// One step of a pattern.
enum Token {
    /// This byte.
    Byte(u8),
    /// Any byte except a slash: `?`.
    Any,
    /// One byte of a set, stored as a bit map: `[a-z]`.
    Set(Box<[u64; 4]>),
    /// Any number of bytes except slashes: `*`.
    Star,
    /// Any number of bytes: `**` at the end, or before an escaped slash.
    Everything,
    /// Makes the following [`Token::Directories`] optional: the start of `**/`.
    MaybeDirectories,
    /// Any number of bytes up to and including a slash.
    Directories,
    /// The end of a pattern.
    End,
    /// Matches nothing: an unfinished `[` or `\`.
    Never,
}

/// A set of compiled patterns. A text matches if it matches any of them.
pub struct Globs {
    tokens: Vec<Token>,
    /// Index of the first token of each pattern.
    starts: Vec<u32>,
}

/// The set of tokens that may come next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position(Vec<u32>);

impl Position {
    /// Returns the size of its heap allocation, in bytes.
    pub fn size(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }

    /// Returns true if no continuation can match.
    pub fn is_dead(&self) -> bool {
        self.0.is_empty()
    }
}

/// Matches texts against patterns, and reuses its buffers.
pub struct Matcher<'g> {
    globs: &'g Globs,
    /// Step in which each token was last added.
    added: Vec<u64>,
    step: u64,
    /// Units of work since the last call of [`Matcher::work`].
    work: u64,
    now: Position,
    next: Position,
}

/// Returns true if `text` matches `pattern`.
pub fn is_match(pattern: &str, text: &[u8]) -> bool {
    // Fast path: most texts differ from the pattern before its first wildcard.
    for (at, expected) in pattern.bytes().enumerate() {
        if matches!(expected, b'*' | b'?' | b'[' | b'\\') {
            break;
        }
        if text.get(at) != Some(&expected) {
            return false;
        }
    }
    let globs = Globs::new(&[pattern]);
    globs.matcher().matches(text)
}

/// Returns an error message if a pattern is too long or has too many wildcards.
pub fn flaw(pattern: &str) -> Option<String> {
    if pattern.len() > MAX_PATTERN {
        let found = pattern.len();
        return Some(format!("the pattern has {found} bytes, the limit is {MAX_PATTERN}; shorten it"));
    }
    let mut stars = 0;
    let mut was_star = false;
    for byte in pattern.bytes() {
        stars += usize::from(byte == b'*' && !was_star);
        was_star = byte == b'*';
    }
    (stars > MAX_STARS).then(|| {
        format!("the pattern has {stars} wildcards, the limit is {MAX_STARS}; write several patterns")
    })
}

impl Globs {
    /// Compiles patterns.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        let mut globs = Self { tokens: Vec::new(), starts: Vec::with_capacity(patterns.len()) };
        for pattern in patterns {
            globs.starts.push(globs.end());
            globs.add(pattern.as_ref().as_bytes());
            globs.tokens.push(Token::End);
        }
        globs
    }

    /// Returns a matcher, which allocates memory for each token.
    pub fn matcher(&self) -> Matcher<'_> {
        Matcher {
            globs: self,
            added: vec![0; self.tokens.len()],
            step: 0,
            work: 0,
            now: Position::default(),
            next: Position::default(),
        }
    }

    fn end(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    fn add(&mut self, pattern: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = pattern.get(at) {
            at += 1;
            let token = match byte {
                b'?' => Token::Any,
                b'*' => {
                    let is_first = at == 1 || pattern[at - 2] == b'/';
                    let stars = 1 + pattern[at..].iter().take_while(|byte| **byte == b'*').count();
                    at += stars - 1;
                    match &pattern[at..] {
                        rest if stars == 1 || !is_first || !(rest.is_empty() || is_slash(rest)) => {
                            Token::Star
                        }
                        [b'/', ..] => {
                            at += 1;
                            self.tokens.push(Token::MaybeDirectories);
                            Token::Directories
                        }
                        _ => Token::Everything,
                    }
                }
                b'[' => match set(&pattern[at..]) {
                    Some((set, length)) => {
                        at += length;
                        Token::Set(Box::new(set))
                    }
                    None => Token::Never,
                },
                b'\\' => match pattern.get(at) {
                    Some(&escaped) => {
                        at += 1;
                        Token::Byte(escaped)
                    }
                    None => Token::Never,
                },
                byte => Token::Byte(byte),
            };
            let is_over = matches!(token, Token::Never);
            self.tokens.push(token);
            if is_over {
                break;
            }
        }
    }
}

/// Returns true if the pattern continues with a slash, escaped or not.
fn is_slash(rest: &[u8]) -> bool {
    matches!(rest, [b'/', ..] | [b'\\', b'/', ..])
}

impl Matcher<'_> {
    /// Returns true if `text` matches one of the patterns.
    pub fn matches(&mut self, text: &[u8]) -> bool {
        self.begin();
        self.goes_on(text) && self.is_at_end()
    }

    /// Does the same as [`Matcher::matches`], and charges the work to `allowance`.
    ///
    /// # Errors
    /// If the allowance is used up.
    pub fn matches_within(&mut self, text: &[u8], allowance: &Allowance) -> Result<bool, Spent> {
        let is_match = self.matches(text);
        allowance.spend(self.work())?;
        Ok(is_match)
    }

    /// Returns the units of work since the last call: one for each token visited.
    pub fn work(&mut self) -> u64 {
        std::mem::take(&mut self.work)
    }

    /// Moves to the start of a text.
    pub fn begin(&mut self) {
        self.step += 1;
        self.now.0.clear();
        let globs = self.globs;
        self.work += globs.starts.len() as u64;
        for start in &globs.starts {
            add(globs, &mut self.added, self.step, &mut self.now, *start);
        }
    }

    /// Moves to a position that was taken from a matcher of the same patterns.
    pub fn go_to(&mut self, position: &Position) {
        self.now.clone_from(position);
    }

    /// Returns the current position.
    pub fn position(&self) -> &Position {
        &self.now
    }

    /// Consumes more text. Returns false once no continuation can match.
    pub fn goes_on(&mut self, text: &[u8]) -> bool {
        for &byte in text {
            if self.now.is_dead() {
                break;
            }
            self.read(byte);
        }
        !self.now.is_dead()
    }

    /// Returns true if the text consumed so far matches.
    pub fn is_at_end(&self) -> bool {
        self.now.0.iter().any(|at| matches!(self.globs.tokens[*at as usize], Token::End))
    }

    /// Takes the text consumed so far as a directory. Returns true if every path below it matches.
    pub fn matches_all_below(&mut self) -> bool {
        let tokens = &self.globs.tokens;
        let takes_all = |at: &u32| {
            let at = *at as usize;
            matches!(tokens.get(at..at + 2), Some([Token::Everything, Token::End]))
        };
        self.goes_on(b"/") && self.now.0.iter().any(takes_all)
    }

    fn read(&mut self, byte: u8) {
        self.step += 1;
        self.next.0.clear();
        self.work += self.now.0.len() as u64;
        let globs = self.globs;
        for &at in &self.now.0 {
            let (moves_on, stays) = match &globs.tokens[at as usize] {
                Token::Byte(expected) => (*expected == byte, false),
                Token::Any => (byte != b'/', false),
                Token::Set(set) => (set[usize::from(byte / 64)] >> (byte % 64) & 1 == 1, false),
                Token::Star => (false, byte != b'/'),
                Token::Everything => (false, true),
                Token::Directories => (byte == b'/', true),
                Token::MaybeDirectories | Token::End | Token::Never => (false, false),
            };
            if stays {
                add(globs, &mut self.added, self.step, &mut self.next, at);
            }
            if moves_on {
                add(globs, &mut self.added, self.step, &mut self.next, at + 1);
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }
}

/// Adds a token to a position, with the tokens that are reachable from it without consuming a byte.
fn add(globs: &Globs, added: &mut [u64], step: u64, position: &mut Position, mut at: u32) {
    loop {
        let seen = &mut added[at as usize];
        if *seen == step {
            return;
        }
        *seen = step;
        match globs.tokens[at as usize] {
            Token::Star | Token::Everything => position.0.push(at),
            Token::MaybeDirectories => {
                add(globs, added, step, position, at + 1);
                at += 1;
            }
            _ => return position.0.push(at),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests;
