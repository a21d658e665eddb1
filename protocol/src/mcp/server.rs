//! What a server sends: answers, notifications, and in 2025 requests of its own. A message is looked at whole, borrowed
//! and unparsed, and passes byte for byte but for the items of lists that go.

use super::list::{self, Item};
use super::{ListKind, Version};
use crate::json::{MemberError, Members, string};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One message of a server.
pub struct ServerMessage<'a> {
    text: &'a str,
    members: Members<'a>,
}

/// What a server may ask of a client, in 2025 by a request and in 2026 as an input that a result requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerRequest {
    /// `ping`, in 2025 only.
    Ping,
    /// `sampling/createMessage`: a completion by the client's model.
    Sampling,
    /// `elicitation/create`: a question to the person.
    Elicitation,
    /// `roots/list`: the client's folders.
    Roots,
}

/// How a server asked for what it may not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// By a request of its own.
    Request,
    /// By a result of type `input_required` (2026-07-28, Multi Round-Trip Requests).
    Input,
}

/// Why a server's message can't be judged, and so must not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a JSON-RPC message.
    #[error("the answer is not a JSON object")]
    NotAMessage,
    /// Two readers could find two lists, or two names.
    #[error("the answer repeats a key that counts")]
    DuplicateKey,
    /// The same, for readers that ignore case.
    #[error("a key of the answer differs from one that counts in case only")]
    CaseVariant,
    /// Not an object.
    #[error("the result is not an object")]
    Result,
    /// Not an array.
    #[error("the list is not an array")]
    List,
    /// No name or URI, so nobody can say who may see it.
    #[error("an item has no name")]
    Item,
    /// Not an object of requests with methods.
    #[error("the inputs that the result requires can't be read")]
    Inputs,
}

impl From<MemberError> for MessageError {
    fn from(error: MemberError) -> Self {
        match error {
            MemberError::Duplicate => Self::DuplicateKey,
            MemberError::CaseVariant => Self::CaseVariant,
        }
    }
}

impl ServerRequest {
    /// None: no request that a server is known to make.
    pub fn of_method(method: &str) -> Option<Self> {
        match method {
            "ping" => Some(Self::Ping),
            "sampling/createMessage" => Some(Self::Sampling),
            "elicitation/create" => Some(Self::Elicitation),
            "roots/list" => Some(Self::Roots),
            _ => None,
        }
    }
}

impl<'a> ServerMessage<'a> {
    /// Reads a message: UTF-8 and a JSON object, so no batch.
    ///
    /// # Errors
    /// [`MessageError::NotAMessage`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let text = std::str::from_utf8(bytes).map_err(|_| MessageError::NotAMessage)?;
        let members = Members::of_text(text).ok_or(MessageError::NotAMessage)?;
        Ok(Self { text, members })
    }

    /// The id as it is written.
    ///
    /// # Errors
    /// [`MessageError`] if there are two.
    pub fn id(&self) -> Result<Option<&'a RawValue>, MessageError> {
        Ok(self.members.get("id")?)
    }

    /// Whether it asks the client for something beside what is `allowed`. A notification asks for nothing. With nothing
    /// allowed, neither is a result that requires no input but another try.
    ///
    /// # Errors
    /// [`MessageError`]: two readers could see two things.
    pub fn unasked(&self, allowed: &[ServerRequest]) -> Result<Option<Unasked>, MessageError> {
        let result = self.members.get("result")?;
        if let Some(method) = self.members.get("method")? {
            let answered = self.id()?.is_some() || result.is_some();
            return Ok((answered && !is_allowed(method, allowed)).then_some(Unasked::Request));
        }
        let Some(result) = result.and_then(Members::of) else { return Ok(None) };
        let kind = result.get("resultType")?.and_then(string);
        if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(INPUT_REQUIRED)) {
            return Ok(None);
        }
        let asked = match result.get("inputRequests")? {
            Some(inputs) => Members::of(inputs).ok_or(MessageError::Inputs)?,
            None => return Ok(allowed.is_empty().then_some(Unasked::Input)),
        };
        for input in asked.values() {
            let input = Members::of(input).ok_or(MessageError::Inputs)?;
            if !is_allowed(input.get("method")?.ok_or(MessageError::Inputs)?, allowed) {
                return Ok(Some(Unasked::Input));
            }
        }
        Ok(allowed.is_empty().then_some(Unasked::Input))
    }

    /// The message with only those items of its lists for which `keep` is true; all else as it came.
    ///
    /// # Errors
    /// [`MessageError`]: it can't be said what a list holds.
    pub fn filtered(
        &self,
        version: Version,
        keep: &mut dyn FnMut(ListKind, &Item<'_>) -> bool,
    ) -> Result<Cow<'a, [u8]>, MessageError> {
        list::filtered(version, self.text, &self.members, keep)
    }
}

/// The type of a result that wants something of the client before there is one.
pub(super) const INPUT_REQUIRED: &str = "input_required";

fn is_allowed(method: &RawValue, allowed: &[ServerRequest]) -> bool {
    let asked = string(method).and_then(|method| ServerRequest::of_method(&method));
    asked.is_some_and(|asked| allowed.contains(&asked))
}

#[cfg(test)]
mod tests;
