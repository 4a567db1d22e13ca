//! Finds ticket keys, such as `ACME-7`, in messages and in names of branches. Pure.

/// Maximum number of tickets from one text.
const MAX_TICKETS: usize = 64;

/// Maximum number of digits in a ticket's number.
const MAX_DIGITS: usize = 7;

/// Names of standards, licences and products that look like a ticket's project. A site that lists
/// its projects does not need them.
const NO_PROJECTS: [&str; 113] = [
    "ADR", "AES", "AGPL", "AMD", "ANSI", "ARM", "AV", "BASE", "BIP", "BLAKE", "BSD", "CC", "CIS", "CLAUDE",
    "CONFIG", "COVID", "CP", "CRC", "CSS", "CVE", "CWE", "DES", "DIN", "DO", "ECMA", "EIP", "EN", "EPL",
    "EPSG", "ERC", "ES", "EUPL", "FIPS", "FTP", "FY", "GB", "GEMINI", "GFDL", "GHSA", "GMT", "GPL", "GPT",
    "GTK", "HL", "HTML", "HTTP", "IA", "IBM", "IEC", "IEEE", "IP", "IPV", "ISBN", "ISO", "JAVA", "JDK",
    "JEP", "JSR", "KB", "KOI", "LATIN", "LGPL", "LLAMA", "MD", "MISRA", "MIT", "MP", "MPEG", "MPL", "MS",
    "NIST", "OAUTH", "OWASP", "PCI", "PEP", "PHP", "PKCS", "PPC", "PSR", "PYTHON", "QT", "RC", "RFC",
    "RIPEMD", "RSA", "SHA", "SIL", "SOC", "SQL", "SSL", "TIS", "TLS", "TOP", "UCS", "US", "USB", "USD",
    "UTC", "UTF", "VP", "WCAG", "WEB", "WIN", "WINDOWS", "XEP", "XML", "X86", "X509", "Q1", "Q2", "Q3", "Q4",
    "H2",
];

/// The projects whose tickets count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TicketProjects {
    /// Every project, except names of standards.
    #[default]
    Any,
    /// These projects, in capitals.
    Only(Vec<String>),
}

/// A list of tickets without duplicates.
#[derive(Default)]
pub(super) struct TicketList(Vec<String>);

impl TicketList {
    fn add(&mut self, project: &str, number: &str) {
        let ticket = format!("{}-{number}", project.to_ascii_uppercase());
        if self.0.len() < MAX_TICKETS && !self.0.contains(&ticket) {
            self.0.push(ticket);
        }
    }

    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

impl TicketProjects {
    /// Returns the tickets in a text, each once and in order. A key is a project of at least two
    /// characters, in capitals, then a hyphen and a number. A text without white space is the name
    /// of a branch, where more can follow the number, as in `feature/ACME-7-pay`.
    pub fn find(&self, text: &str) -> Vec<String> {
        let mut found = TicketList::default();
        if text.contains(char::is_whitespace) {
            self.add_from_text(text, &mut found);
        } else {
            self.add_from_branch(text, &mut found);
        }
        found.into_vec()
    }

    /// Adds the tickets of a text.
    pub(super) fn add_from_text(&self, text: &str, found: &mut TicketList) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let word = rest.get(start..).unwrap_or_default();
            let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
            let (word, after) = word.split_at_checked(end).unwrap_or_default();
            rest = after;
            // `GPL-3.0` is a version.
            let is_version = after.strip_prefix('.').is_some_and(|after| after.starts_with(is_digit));
            if let Some((project, number)) = word.split_once('-')
                && is_number(number)
                && !is_version
                && self.knows(project, false)
            {
                found.add(project, number);
            }
        }
    }

    /// Adds the tickets of the name of a branch. In such a name, listed projects also count in lower
    /// case.
    pub(super) fn add_from_branch(&self, name: &str, found: &mut TicketList) {
        for segment in name.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
            let mut before = "";
            for part in segment.split('-') {
                let end = part.find(|c| !is_digit(c)).unwrap_or(part.len());
                let (number, after) = part.split_at_checked(end).unwrap_or_default();
                let is_end = after.is_empty() || after.starts_with('_');
                let short = before.rsplit('_').next().unwrap_or_default();
                let project = [before, short].into_iter().find(|project| self.knows(project, true));
                if let Some(project) = project.filter(|_| is_end && is_number(number)) {
                    found.add(project, number);
                }
                before = part;
            }
        }
    }

    fn knows(&self, project: &str, is_branch: bool) -> bool {
        match self {
            Self::Only(known) if is_branch => known.iter().any(|known| known.eq_ignore_ascii_case(project)),
            Self::Only(known) => known.iter().any(|known| known == project),
            Self::Any => is_project(project) && !NO_PROJECTS.contains(&project),
        }
    }
}

/// Returns true for a project key of two characters or more, in capitals.
fn is_project(key: &str) -> bool {
    key.len() >= 2
        && key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn is_number(number: &str) -> bool {
    (1..=MAX_DIGITS).contains(&number.len()) && number.chars().all(is_digit) && !number.starts_with('0')
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

#[cfg(test)]
mod tests;
