//! YAML, from the events of its parser.
//!
//! An alias shares the value of its anchor. So a small file that nests aliases of aliases takes no
//! more memory than its text.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    rc::Rc,
};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{DocumentError, MAX_DEPTH, Node};

/// A collection that the parser has entered.
struct OpenCollection {
    content: OpenContent,
    anchor: usize,
    /// Levels of collections in it, including itself.
    height: usize,
}

enum OpenContent {
    /// The entries, and the key whose value comes next.
    Map(BTreeMap<String, Node>, Option<String>),
    List(Vec<Node>),
}

/// Values with an anchor, with their heights.
type Anchors = HashMap<usize, (Rc<Node>, usize)>;

/// Reads the first document of a text. An empty text is [`Node::Null`].
pub(super) fn read(document: &str) -> Result<Node, DocumentError> {
    Ok(read_up_to(1, document)?.pop().unwrap_or(Node::Null))
}

/// Reads the documents of a text, at most `most` of them.
pub(super) fn read_up_to(most: usize, document: &str) -> Result<Vec<Node>, DocumentError> {
    let mut roots = Vec::new();
    let mut open: Vec<OpenCollection> = Vec::new();
    let mut anchors = Anchors::new();
    let mut root = Node::Null;
    for event in Parser::new_from_str(document) {
        let (event, span) = event.map_err(|err| syntax(err.marker(), err.info()))?;
        let (node, height, anchor) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = value.into_owned();
                (if is_plain { Node::Plain(value) } else { Node::Text(value) }, 0, anchor)
            }
            Event::Alias(id) => {
                let Some((shared, height)) = anchors.get(&id) else {
                    return Err(syntax(&span.start, "an alias refers to the value that it is in"));
                };
                if open.len() + height > MAX_DEPTH {
                    return Err(too_deep(&span.start));
                }
                (Node::Shared(shared.clone()), *height, 0)
            }
            Event::MappingStart(..) | Event::SequenceStart(..) if open.len() >= MAX_DEPTH => {
                return Err(too_deep(&span.start));
            }
            Event::MappingStart(anchor, _) => {
                open.push(OpenCollection {
                    content: OpenContent::Map(BTreeMap::new(), None),
                    anchor,
                    height: 1,
                });
                continue;
            }
            Event::SequenceStart(anchor, _) => {
                open.push(OpenCollection { content: OpenContent::List(Vec::new()), anchor, height: 1 });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let Some(ended) = open.pop() else { continue };
                let node = match ended.content {
                    OpenContent::Map(map, _) => Node::Map(map),
                    OpenContent::List(list) => Node::List(list),
                };
                (node, ended.height, ended.anchor)
            }
            Event::DocumentEnd => {
                roots.push(mem::replace(&mut root, Node::Null));
                anchors.clear();
                if roots.len() == most {
                    break;
                }
                continue;
            }
            _ => continue,
        };
        let node = if anchor == 0 {
            node
        } else {
            let shared = Rc::new(node);
            anchors.insert(anchor, (shared.clone(), height));
            Node::Shared(shared)
        };
        match open.last_mut() {
            Some(parent) => parent.add(node, height),
            None => root = node,
        }
    }
    Ok(roots)
}

impl OpenCollection {
    fn add(&mut self, node: Node, height: usize) {
        self.height = self.height.max(height + 1);
        match &mut self.content {
            OpenContent::List(list) => list.push(node),
            OpenContent::Map(map, key) => match mem::take(key) {
                // A collection that is a key has no text. The empty key stands for it.
                None => *key = Some(node.text().unwrap_or_default().into_owned()),
                Some(key) => {
                    map.insert(key, node);
                }
            },
        }
    }
}

fn syntax(at: &Marker, why: &str) -> DocumentError {
    DocumentError::Syntax { line: at.line(), column: at.col() + 1, why: crate::text::line(why) }
}

fn too_deep(at: &Marker) -> DocumentError {
    DocumentError::TooDeep { line: at.line(), column: at.col() + 1 }
}
