//! Reads SSH keys in the `allowed_signers` format of ssh-keygen(1).

use jiff::{civil::DateTime, tz::TimeZone};
use ssh_key::{PublicKey, public::KeyData};

use super::{algorithm::weak_ssh_key, key_file::Flaw, signer_name};
use crate::{glob::is_match, sys::time::Timestamp, text};

/// One line: a key, and who signs with it.
#[derive(Debug)]
pub(super) struct AllowedSigner {
    principal: String,
    key: KeyData,
    options: Options,
}

#[derive(Debug, Default)]
struct Options {
    namespaces: Option<String>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

/// Place of a moment in the period in which a key is valid.
pub(super) enum Period {
    Valid,
    NotYet(Timestamp),
    Over(Timestamp),
}

impl AllowedSigner {
    /// Returns the first principal, as git shows it.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Returns the public key.
    pub fn key(&self) -> &KeyData {
        &self.key
    }

    /// Returns true if the key may sign in this namespace. The first pattern that matches decides.
    pub fn may_sign(&self, namespace: &str) -> bool {
        let Some(patterns) = &self.options.namespaces else { return true };
        let mut is_match_found = false;
        for pattern in patterns.split(',').map(str::trim) {
            match pattern.strip_prefix('!') {
                Some(refused) if is_match(refused, namespace.as_bytes()) => return false,
                Some(_) => {}
                None => is_match_found |= is_match(pattern, namespace.as_bytes()),
            }
        }
        is_match_found
    }

    /// Returns whether the key is valid at a moment. Both limits are inclusive, as in ssh-keygen.
    pub fn period_at(&self, at: Timestamp) -> Period {
        match (self.options.valid_after, self.options.valid_before) {
            (Some(start), _) if at < start => Period::NotYet(start),
            (_, Some(end)) if at > end => Period::Over(end),
            _ => Period::Valid,
        }
    }
}

/// Reads the lines of a file.
pub(super) fn parse(file: &str) -> Result<Vec<AllowedSigner>, Flaw> {
    let mut signers = Vec::new();
    for (nth, line) in file.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            signers.push(read_line(line).map_err(|flaw| flaw.in_line(nth + 1))?);
        }
    }
    if signers.is_empty() { Err(Flaw::of_file("it holds no key")) } else { Ok(signers) }
}

fn read_line(line: &str) -> Result<AllowedSigner, Flaw> {
    const FORM: &str = "write `ann@example.org namespaces=\"git\" ssh-ed25519 AAAA...`";
    let (principals, rest) = word(line).ok_or_else(|| Flaw::of_file("a quotation does not end"))?;
    if is_key_type(&principals) {
        return Err(Flaw::of_file("the line names no principal before the key").fixed_with(FORM));
    }
    let (first, after) = option_word(rest);
    let (options, key) = if is_key_type(first) { ("", rest) } else { (first, after) };
    let principal = principals.split(',').next().unwrap_or_default();
    if principal.is_empty() || principals.contains('!') {
        let why = "the principals must be names; negated patterns are not supported";
        return Err(Flaw::of_file(why).fixed_with(FORM));
    }
    let options = read_options(options)?;
    let mut words = key.split_whitespace();
    let (kind, data) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !is_key_type(kind) {
        return Err(Flaw::of_file("the line has no key").fixed_with(FORM));
    }
    let key = PublicKey::from_openssh(&format!("{kind} {data}")).map_err(|err| {
        Flaw::of_file(format!("failed to read the SSH key: {}", text::line(err.to_string())))
    })?;
    let key = key.key_data().clone();
    if let Some(why) = weak_ssh_key(&key) {
        return Err(Flaw::of_file(format!("{why}, so it would never verify a signature; remove the line")));
    }
    Ok(AllowedSigner { principal: signer_name(principal.as_bytes()), key, options })
}

/// Returns the first word, which can be in double quotes, and the rest of the line.
fn word(line: &str) -> Option<(String, &str)> {
    match line.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').map(|(word, rest)| (word.to_string(), rest.trim_start())),
        None => {
            let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            Some((word.to_string(), rest.trim_start()))
        }
    }
}

/// Splits off the options: everything up to white space that is not in double quotes.
fn option_word(rest: &str) -> (&str, &str) {
    let mut is_quoted = false;
    for (at, c) in rest.char_indices() {
        match c {
            '"' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => return (&rest[..at], rest[at..].trim_start()),
            _ => {}
        }
    }
    (rest, "")
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
}

fn read_options(text: &str) -> Result<Options, Flaw> {
    let mut options = Options::default();
    let mut is_quoted = false;
    let parts = text.split(|c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    for option in parts.filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let quoted = || {
            inside.filter(|inside| !inside.is_empty()).ok_or_else(|| {
                Flaw::of_file(format!("the option `{}` needs a value in double quotes", text::line(name)))
            })
        };
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => options.namespaces = Some(quoted()?.to_string()),
            "valid-after" => options.valid_after = Some(time(quoted()?)?),
            "valid-before" => options.valid_before = Some(time(quoted()?)?),
            "cert-authority" => {
                let why = "certificates are not supported, so `cert-authority` is not either";
                return Err(Flaw::of_file(why).fixed_with("list the key of each person"));
            }
            _ => {
                let known = "`namespaces`, `valid-after` and `valid-before`";
                let why = format!("unknown option `{}`; the known ones are {known}", text::line(name));
                return Err(Flaw::of_file(why));
            }
        }
    }
    if let (Some(start), Some(end)) = (options.valid_after, options.valid_before)
        && start >= end
    {
        return Err(Flaw::of_file("`valid-before` is not later than `valid-after`"));
    }
    Ok(options)
}

/// Reads a time: `YYYYMMDD` or `YYYYMMDDHHMM[SS]`, in the machine's time zone, or in UTC with a `Z`.
fn time(text: &str) -> Result<Timestamp, Flaw> {
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let zone = if digits.len() < text.len() { TimeZone::UTC } else { TimeZone::system() };
    let format = match digits.len() {
        8 => Some(("%Y%m%d%H%M%S", "000000")),
        12 => Some(("%Y%m%d%H%M%S", "00")),
        14 => Some(("%Y%m%d%H%M%S", "")),
        _ => None,
    };
    let read = |(format, rest): (&str, &str)| {
        DateTime::strptime(format, format!("{digits}{rest}")).ok()?.to_zoned(zone).ok()
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    format.filter(|_| is_number).and_then(read).map(|zoned| zoned.timestamp()).ok_or_else(|| {
        let why = format!("`{}` is not a time; write YYYYMMDD or YYYYMMDDHHMMSS", text::line(text));
        Flaw::of_file(format!("{why}, with a Z for UTC"))
    })
}

#[cfg(test)]
mod tests;
