//! XML, from the events of its parser.
//!
//! An element becomes a map of its child elements by name. Elements that share a name become
//! [`Node::Repeated`]. An attribute has the key `@name`. An element without attributes and without
//! child elements becomes its text; otherwise its text has the key `#text`. Prefixes and
//! declarations of namespaces are ignored, and so is a DTD.

use std::collections::{BTreeMap, btree_map::Entry};

use quick_xml::{
    Reader, XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
};

use super::{DocumentError, MAX_DEPTH, Node, node::TEXT};

/// An element whose end was not read yet.
struct OpenElement {
    name: String,
    children: BTreeMap<String, Node>,
    text: String,
}

/// Reads a document. It is a map with the root element.
pub(super) fn read(document: &str) -> Result<Node, DocumentError> {
    let mut reader = Reader::from_str(document);
    // The innermost element is the last one. The first entry is the document itself.
    let mut open = vec![OpenElement::named(String::new())];
    loop {
        let start = offset(reader.buffer_position());
        let event = reader
            .read_event()
            .map_err(|err| DocumentError::at(document, offset(reader.error_position()), &err.to_string()))?;
        let is_full = open.len() > MAX_DEPTH;
        let Some(inner) = open.last_mut() else { break };
        match event {
            Event::Start(_) | Event::Empty(_) if is_full => {
                return Err(DocumentError::too_deep(document, start));
            }
            Event::Start(tag) => {
                let element = OpenElement::of(&tag)
                    .map_err(|why| DocumentError::at(document, start, &why.to_string()))?;
                open.push(element);
            }
            Event::Empty(tag) => {
                let element = OpenElement::of(&tag)
                    .map_err(|why| DocumentError::at(document, start, &why.to_string()))?;
                inner.add(element);
            }
            Event::End(_) => {
                // The parser has compared the name with that of the start.
                if let Some(element) = open.pop()
                    && let Some(parent) = open.last_mut()
                {
                    parent.add(element);
                }
            }
            Event::Text(text) => inner.text.push_str(&text.xml10_content()),
            Event::CData(text) => inner.text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => inner.refer(&reference),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    let flaw = |why: &str| Err(DocumentError::at(document, document.len(), why));
    if let [_, .., unclosed] = open.as_slice() {
        return flaw(&format!("the element `{}` has no end", unclosed.name));
    }
    let root = open.pop().map(|document| document.children).unwrap_or_default();
    match root.values().next() {
        None => flaw("it has no element"),
        Some(first) if root.len() > 1 || matches!(first, Node::Repeated(_)) => {
            flaw("there is more than one root element")
        }
        Some(_) => Ok(Node::Map(root)),
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

impl OpenElement {
    fn named(name: String) -> Self {
        Self { name, children: BTreeMap::new(), text: String::new() }
    }

    fn of(tag: &BytesStart<'_>) -> Result<Self, quick_xml::Error> {
        let mut element = Self::named(tag.local_name().as_ref().to_string());
        // The parser's own check for duplicates is quadratic.
        for attribute in tag.attributes().with_checks(false) {
            let attribute = attribute?;
            let name: &str = attribute.key.as_ref();
            if name == "xmlns" || name.starts_with("xmlns:") {
                continue;
            }
            // The replacement of a predefined entity contains no other one.
            let value =
                attribute.normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_predefined_entity);
            let value = value.map_or_else(|_| attribute.value.to_string(), |value| value.to_string());
            let name = attribute.key.local_name();
            element.children.insert(format!("@{}", name.as_ref()), Node::Text(value));
        }
        Ok(element)
    }

    fn add(&mut self, element: Self) {
        let name = element.name.clone();
        let node = element.into_node();
        match self.children.entry(name) {
            Entry::Vacant(place) => {
                place.insert(node);
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Node::Repeated(nodes) => nodes.push(node),
                first => {
                    let first = std::mem::replace(first, Node::Null);
                    place.insert(Node::Repeated(vec![first, node]));
                }
            },
        }
    }

    /// Adds a character reference or a predefined entity. Any other entity stays as it is written.
    fn refer(&mut self, reference: &BytesRef<'_>) {
        match (reference.resolve_char_ref(), resolve_predefined_entity(reference)) {
            (Ok(Some(character)), _) => self.text.push(character),
            (_, Some(text)) => self.text.push_str(text),
            _ => {
                self.text.push('&');
                self.text.push_str(reference);
                self.text.push(';');
            }
        }
    }

    fn into_node(self) -> Node {
        let text = self.text.trim();
        if self.children.is_empty() {
            return Node::Text(text.into());
        }
        let mut children = self.children;
        if !text.is_empty() {
            children.insert(TEXT.into(), Node::Text(text.into()));
        }
        Node::Map(children)
    }
}
