//! Reads documents from untrusted text: JSON, TOML, YAML, XML, Java properties and INI.
//!
//! Every format becomes the same [`Node`]. A document may have at most [`MAX_SIZE`] bytes and be
//! nested at most [`MAX_DEPTH`] levels deep. Nothing is expanded: aliases of YAML share the value
//! that they refer to, and entities of XML that are not predefined stay as they are written.

mod line_based;
mod node;
mod serde_based;
mod xml;
mod yaml;

pub use node::{MAX_KEY, Node};

use thiserror::Error;

use crate::text;

/// Maximum size of a document, in bytes.
pub const MAX_SIZE: usize = 256 << 10;

/// Maximum nesting of a document.
pub const MAX_DEPTH: usize = 64;

/// Maximum number of documents that are read from a YAML file.
pub const MAX_DOCUMENTS: usize = 256;

/// A format with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentFormat {
    /// JSON.
    Json,
    /// TOML.
    Toml,
    /// YAML. Only the first document of a file counts.
    Yaml,
    /// XML, with the files of `MSBuild`.
    Xml,
    /// Java's `.properties`.
    Properties,
    /// INI as Python's `configparser` reads it.
    Ini,
}

/// File name extensions, for messages.
pub const EXTENSIONS: &str =
    ".json, .toml, .yaml, .yml, .xml, .csproj, .fsproj, .vbproj, .props, .nuspec, .properties, .cfg and .ini";

impl DocumentFormat {
    /// Returns the format of a file by its name. Returns `None` for a format without keys.
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "xml" | "csproj" | "fsproj" | "vbproj" | "props" | "nuspec" => Some(Self::Xml),
            "properties" => Some(Self::Properties),
            "cfg" | "ini" => Some(Self::Ini),
            _ => None,
        }
    }

    /// Returns the name of the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Xml => "XML",
            Self::Properties => "properties",
            Self::Ini => "INI",
        }
    }
}

/// A text that is not a document of its format.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// The text is larger than [`MAX_SIZE`].
    #[error("it has {0} bytes, the limit is {MAX_SIZE}")]
    TooLarge(usize),
    /// The document is nested deeper than [`MAX_DEPTH`].
    #[error("line {line}, column {column}: it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The text breaks the rules of its format.
    #[error("line {line}, column {column}: {why}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Message of the parser, safe to show.
        why: String,
    },
}

impl DocumentError {
    /// Returns an error at the byte `offset` of the text.
    fn at(document: &str, offset: usize, why: &str) -> Self {
        let (line, column) = position(document, offset);
        Self::Syntax { line, column, why: text::line(why) }
    }

    /// Returns the error for a value that is nested too deep, at the byte `offset` of the text.
    fn too_deep(document: &str, offset: usize) -> Self {
        let (line, column) = position(document, offset);
        Self::TooDeep { line, column }
    }
}

/// Returns the line and the column of a byte offset, both from 1. Columns count characters.
fn position(document: &str, offset: usize) -> (usize, usize) {
    let before = document.as_bytes().get(..offset).unwrap_or(document.as_bytes());
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    // Continuation bytes of UTF-8 begin with the bits 10.
    let column = before.iter().skip(start).filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
    (line, column)
}

/// Reads a document. A byte order mark at its start is ignored.
///
/// # Errors
/// If the text is too large, is nested too deep or does not have the format.
pub fn read(format: DocumentFormat, document: &str) -> Result<Node, DocumentError> {
    if document.len() > MAX_SIZE {
        return Err(DocumentError::TooLarge(document.len()));
    }
    let document = document.trim_start_matches('\u{feff}');
    match format {
        DocumentFormat::Json => serde_based::json(document),
        DocumentFormat::Toml => serde_based::toml(document),
        DocumentFormat::Yaml => yaml::read(document),
        DocumentFormat::Xml => xml::read(document),
        DocumentFormat::Properties => Ok(line_based::properties(document)),
        DocumentFormat::Ini => line_based::ini(document),
    }
}

/// Reads all documents of a YAML file, at most [`MAX_DOCUMENTS`].
///
/// # Errors
/// If the text is too large, is nested too deep or is not YAML.
pub fn read_yaml_documents(text: &str) -> Result<Vec<Node>, DocumentError> {
    if text.len() > MAX_SIZE {
        return Err(DocumentError::TooLarge(text.len()));
    }
    yaml::read_up_to(MAX_DOCUMENTS, text.trim_start_matches('\u{feff}'))
}

#[cfg(test)]
mod tests;
