//! The source of a marker: repository, ref, commit and pusher.

use serde::{Deserialize, Serialize};

use super::{Attributes, Value, name};

/// The source of a marker, in the words that its attributes use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarkerSource {
    /// User or organisation that owns the repository.
    pub owner: Option<String>,
    /// Name of the repository.
    pub repository: Option<String>,
    /// URL of the repository's page.
    pub repository_url: Option<String>,
    /// Short name of the branch or tag.
    pub ref_name: Option<String>,
    /// Full id of the commit.
    pub commit: Option<String>,
    /// Login of the pusher.
    pub pusher: Option<String>,
}

impl MarkerSource {
    /// Returns the fields with the names of their attributes.
    pub(super) fn fields(&mut self) -> [(&'static str, &mut Option<String>); 6] {
        [
            (name::OWNER, &mut self.owner),
            (name::REPOSITORY, &mut self.repository),
            (name::REPOSITORY_URL, &mut self.repository_url),
            (name::HEAD_NAME, &mut self.ref_name),
            (name::HEAD_REVISION, &mut self.commit),
            (name::USER_NAME, &mut self.pusher),
        ]
    }

    /// Moves the values that `attributes` has for the source into the fields. An empty text clears
    /// the field. A value that is not text stays an attribute and clears the field.
    pub fn take_from(&mut self, attributes: &mut Attributes) {
        for (name, field) in self.fields() {
            match attributes.get_mut(name) {
                None => {}
                Some(Value::Text(text)) => {
                    *field = Some(std::mem::take(text)).filter(|text| !text.is_empty());
                    attributes.remove(name);
                }
                Some(_) => *field = None,
            }
        }
    }

    /// Returns the size of the text, in bytes.
    pub(super) fn text_size(&self) -> usize {
        let Self { owner, repository, repository_url, ref_name, commit, pusher } = self;
        let texts = [owner, repository, repository_url, ref_name, commit, pusher];
        texts.into_iter().flatten().map(String::len).sum()
    }

    /// Returns `owner/name`, or only the name if the owner is unknown.
    pub fn full_name(&self) -> Option<String> {
        let name = self.repository.as_ref()?;
        Some(self.owner.as_ref().map_or_else(|| name.clone(), |owner| format!("{owner}/{name}")))
    }

    /// Returns the URL of the commit's page in Gitea.
    pub fn commit_url(&self) -> Option<String> {
        let repository = self.repository_url.as_ref()?.trim_end_matches('/');
        Some(format!("{repository}/commit/{}", self.commit.as_ref()?))
    }
}
