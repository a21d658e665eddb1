//! What is searched for in the list of agents.

use super::Listed;
use std::borrow::Cow;
use url::form_urlencoded;

/// What an agent must have to be listed: all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// A skill, by its id.
    skill: Option<String>,
    /// A tag of one of its skills, whatever its case.
    tag: Option<String>,
    /// A text in its name, its description or a skill's name, in lower case.
    text: Option<String>,
}

/// Why a query is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// None of ours.
    #[error("the list of agents is searched by skill, tag and q, and not by {0:?}")]
    Unknown(String),
    /// Twice: nobody can say which one counts.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// Nothing is searched for.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// It can't be read.
    #[error("the query is not percent-encoded UTF-8")]
    Encoding,
}

impl Query {
    /// Reads a URL's query. None asks for all.
    ///
    /// # Errors
    /// [`QueryError`].
    pub fn read(query: Option<&str>) -> Result<Self, QueryError> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(QueryError::Encoding);
            }
            let (name, place) = match &*name {
                "skill" => ("skill", &mut read.skill),
                "tag" => ("tag", &mut read.tag),
                "q" => ("q", &mut read.text),
                _ => return Err(QueryError::Unknown(name.into_owned())),
            };
            if value.is_empty() {
                return Err(QueryError::Empty(name));
            }
            let value = if name == "q" { Cow::Owned(value.to_lowercase()) } else { value };
            if place.replace(value.into_owned()).is_some() {
                return Err(QueryError::Twice(name));
            }
        }
        Ok(read)
    }

    /// Whether an agent is one of those that are asked for.
    pub fn asks_for(&self, agent: &Listed<'_>) -> bool {
        let skills = agent.said.as_ref().map_or(&[][..], |said| &said.skills);
        let has = |wanted: &String| {
            let about = agent.said.as_ref().map(|said| said.description.as_str());
            let names = skills.iter().map(|skill| skill.name.as_str());
            [agent.name]
                .into_iter()
                .chain(about)
                .chain(names)
                .any(|text| text.to_lowercase().contains(wanted))
        };
        let tagged = |wanted: &String| {
            skills.iter().flat_map(|skill| &skill.tags).any(|tag| tag.eq_ignore_ascii_case(wanted))
        };
        self.skill.as_ref().is_none_or(|wanted| skills.iter().any(|skill| skill.id == *wanted))
            && self.tag.as_ref().is_none_or(tagged)
            && self.text.as_ref().is_none_or(has)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::super::{Said, Skill};
    use super::*;

    fn trainer(said: bool) -> Listed<'static> {
        let skill = Skill { id: "fit".into(), name: "Fits models".into(), tags: vec!["ML".into()] };
        Listed {
            name: "trainer",
            grpc: None,
            url: "https://g.test/a2a/trainer".into(),
            bindings: vec!["JSONRPC"],
            versions: vec!["1.0", "0.3"],
            card: String::new(),
            health: "unknown",
            said: said.then(|| Said { description: "Trains at night".into(), skills: vec![skill] }),
        }
    }

    #[test]
    fn an_agent_is_found_by_all_that_is_asked_for() {
        for (query, found) in [
            ("", true),
            ("q=TRAIN", true),
            ("q=night", true),
            ("q=at+night", true),
            ("q=models", true),
            ("q=model%73", true),
            ("q=fit", true),
            ("q=day", false),
            ("skill=fit", true),
            ("skill=Fit", false),
            ("tag=ml", true),
            ("tag=m", false),
            ("tag=ml&skill=fit&q=trainer", true),
            ("tag=ml&skill=fit&q=other", false),
        ] {
            assert_eq!(Query::read(Some(query)).unwrap().asks_for(&trainer(true)), found, "{query}");
        }
    }

    #[test]
    fn an_agent_of_which_nothing_is_known_is_found_by_its_name_alone() {
        for (query, found) in [("q=train", true), ("q=night", false), ("skill=fit", false), ("tag=ml", false)]
        {
            assert_eq!(Query::read(Some(query)).unwrap().asks_for(&trainer(false)), found, "{query}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (query, wrong) in [
            ("name=x", QueryError::Unknown("name".into())),
            ("Q=x", QueryError::Unknown("Q".into())),
            ("q=x&page=2", QueryError::Unknown("page".into())),
            ("q=x&q=x", QueryError::Twice("q")),
            ("tag=a&skill=b&tag=a", QueryError::Twice("tag")),
            ("q=", QueryError::Empty("q")),
            ("skill", QueryError::Empty("skill")),
            ("q=%ff", QueryError::Encoding),
        ] {
            assert_eq!(Query::read(Some(query)), Err(wrong), "{query}");
        }
    }
}
