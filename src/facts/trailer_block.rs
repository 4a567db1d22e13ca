//! Finds and reads the trailers at the end of a text by the rules of git (`trailer.c`, and
//! `ignored_log_message_bytes` in `commit.c`, git 2.47). The tests compare it with git.

use bstr::{ByteSlice as _, ByteVec as _};

/// Beginnings of lines that git adds itself. A block that has one may be mostly text.
const GENERATED: [&[u8]; 2] = [b"Signed-off-by: ", b"(cherry picked from commit "];
/// The line below which `git commit --verbose` shows the diff.
const SCISSORS: &[u8] = b"# ------------------------ >8 ------------------------\n";
/// The heading of the list that old versions of git add to the message of a merge.
const CONFLICTS: &[u8] = b"Conflicts:\n";

/// A name and a value without the white space around them. The value has no line breaks.
pub(super) type Trailer<'a> = (&'a [u8], Vec<u8>);

/// Returns up to `most` trailers of a message. Its first paragraph is the title, and has none.
pub(super) fn of_message(message: &[u8], most: usize) -> Vec<Trailer<'_>> {
    let message = without_remarks(message);
    parse(block(message, Some(title_end(message))), most)
}

/// Returns up to `most` trailers of a text without a title.
pub(super) fn of_text(text: &[u8], most: usize) -> Vec<Trailer<'_>> {
    parse(block(without_remarks(text), None), most)
}

/// Returns the position of the empty line after the title. Empty lines may precede the title.
fn title_end(message: &[u8]) -> usize {
    let mut lines = message.lines_with_terminator().peekable();
    let mut end = 0;
    while let Some(line) = lines.next_if(|line| is_blank(line)) {
        end += line.len();
    }
    end + lines.take_while(|line| is_comment(line) || !is_blank(line)).map(<[u8]>::len).sum::<usize>()
}

/// Cuts off a diff, and the comments, empty lines and lists of conflicts at the end.
fn without_remarks(text: &[u8]) -> &[u8] {
    let is_line = |at: &usize| *at == 0 || text[at - 1] == b'\n';
    let text = text.find_iter(SCISSORS).find(is_line).map_or(text, |at| &text[..at]);
    let (mut end, mut at) = (text.len(), text.len());
    let mut is_list = false;
    for line in text.lines_with_terminator().rev() {
        at -= line.len();
        if line == CONFLICTS {
            is_list = false;
        } else if line.starts_with(b"\t") {
            is_list = true;
        } else if line != b"\n" && !is_comment(line) {
            break;
        }
        if !is_list {
            end = at;
        }
    }
    &text[..end]
}

/// Returns the last paragraph if it is a block of trailers, else nothing. The paragraph is one only
/// if an empty line after `title_end` precedes it.
fn block(text: &[u8], title_end: Option<usize>) -> &[u8] {
    let (mut trailers, mut others, mut continuations) = (0_usize, 0, 0);
    let (mut is_generated, mut has_text) = (false, false);
    let mut start = text.len();
    let mut has_start = title_end.is_none();
    for line in text.lines_with_terminator().rev() {
        let at = start - line.len();
        if title_end.is_some_and(|end| at < end) {
            break;
        }
        if is_comment(line) {
            others += continuations;
            continuations = 0;
        } else if is_blank(line) {
            if has_text {
                has_start = true;
                break;
            }
        } else if GENERATED.iter().any(|prefix| line.starts_with(prefix)) {
            (trailers, continuations, is_generated) = (trailers + 1, 0, true);
        } else if is_folded(line) {
            continuations += 1;
        } else if separator(line).is_some() {
            (trailers, continuations) = (trailers + 1, 0);
        } else {
            (others, continuations) = (others + 1 + continuations, 0);
        }
        has_text |= !is_comment(line) && !is_blank(line);
        start = at;
    }
    others += continuations;
    let is_block = if is_generated { trailers * 3 >= others } else { trailers > 0 && others == 0 };
    if has_start && is_block { &text[start..] } else { b"" }
}

fn parse(block: &[u8], most: usize) -> Vec<Trailer<'_>> {
    let mut trailers: Vec<Trailer<'_>> = Vec::new();
    let mut is_open = false;
    for line in block.lines_with_terminator() {
        if is_open && is_folded(line) {
            if let Some((_, value)) = trailers.last_mut().filter(|_| !line.trim_ascii().is_empty()) {
                if !value.is_empty() {
                    value.push_byte(b' ');
                }
                value.extend_from_slice(line.trim_ascii());
            }
            continue;
        }
        is_open = separator(line).is_some();
        if let Some(at) = separator(line) {
            if trailers.len() == most {
                break;
            }
            trailers.push((line[..at].trim_ascii(), line[at + 1..].trim_ascii().to_vec()));
        }
    }
    trailers
}

/// Returns the position of the colon after a name of letters, digits and hyphens. White space may
/// stand between them.
fn separator(line: &[u8]) -> Option<usize> {
    let at = line.find_byte(b':').filter(|at| *at > 0)?;
    let name = line[..at].trim_end_with(|c| matches!(c, ' ' | '\t'));
    let is_name = name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    (is_name && !name.is_empty()).then_some(at)
}

fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b"#")
}

fn is_folded(line: &[u8]) -> bool {
    line.first().is_some_and(u8::is_ascii_whitespace)
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}
