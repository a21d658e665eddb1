//! What a caller heard.

use serde_json::Value;

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON; of an event stream the last event's data.
    pub fn json(&self) -> Value {
        let text = self.text.trim();
        let text = text.rsplit("data: ").next().filter(|_| text.contains("data: ")).unwrap_or(text);
        serde_json::from_str(text.trim()).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Whether it is a refusal, in the shape of any protocol.
    pub fn is_refused(&self) -> bool {
        self.status != 200 || self.json().get("error").is_some()
    }

    /// The stable reason of a refusal, in the shape of any protocol.
    pub fn refused_because(&self) -> String {
        let error = &self.json()["error"];
        let details = [&error["data"][0], &error["details"][0]].map(|detail| &detail["metadata"]["reason"]);
        [&error["data"]["reason"], &self.json()["data"]["reason"]]
            .into_iter()
            .chain(details)
            .find_map(Value::as_str)
            .unwrap_or_else(|| panic!("not a refusal: {}", self.text))
            .to_owned()
    }

    /// The code of a refusal, in the shape of any protocol.
    pub fn code(&self) -> i64 {
        let answer = self.json();
        let codes = [&answer["error"]["code"], &answer["code"]]; // The second is HTTP+JSON of A2A 0.3.
        codes.into_iter().find_map(Value::as_i64).unwrap_or_else(|| panic!("not a refusal: {}", self.text))
    }

    /// The text of a tool's result.
    pub fn result(&self) -> String {
        self.json()["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("no result: {}", self.text))
            .to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }
}
