//! The file of backends, as written.

use super::section::{Problems, Section};
use super::{Kind, Local, Mistakes, Planned, Price, Remote, Served};
use crate::ask::{ModelName, Use};
use serde_json::Value;
use std::collections::BTreeSet;
use url::{Host, Url};

const BACKENDS_MAX: usize = 64;
const MODELS_MAX: usize = 256;
const NAME_CHARS_MAX: usize = 64;

/// Reads a file of backends.
///
/// # Errors
/// All that is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Vec<Planned>, Mistakes> {
    let value = yaml_serde::from_str::<yaml_serde::Value>(text)
        .map_err(|error| error.to_string())
        .and_then(|value| serde_json::to_value(value).map_err(|error| error.to_string()))
        .map_err(|error| Mistakes(vec![format!("  it is no YAML: {error}")]))?;
    let mut problems = Problems::default();
    let planned = root(&value, &mut problems);
    match planned {
        Some(planned) if problems.0.is_empty() => Ok(planned),
        _ => Err(Mistakes(problems.0)),
    }
}

fn root(value: &Value, problems: &mut Problems) -> Option<Vec<Planned>> {
    if !value.is_object() {
        problems.add("backends", "missing; give a list of backends");
        return None;
    }
    let mut section = Section::new(String::new(), value, problems)?;
    let currency = section.parsed("currency", problems, currency).unwrap_or_else(|| "USD".to_owned());
    let items = section.list("backends", problems);
    section.done(problems);
    if items.len() > BACKENDS_MAX {
        problems.add("backends", format_args!("there are {}, and {BACKENDS_MAX} are allowed", items.len()));
        return None;
    }
    let mut names = BTreeSet::new();
    let planned: Vec<_> = items
        .iter()
        .enumerate()
        .filter_map(|(at, item)| backend(&format!("backends[{at}]"), item, &currency, &mut names, problems))
        .collect();
    Some(planned)
}

fn currency(text: &str) -> Result<String, &'static str> {
    let fits = text.len() == 3 && text.chars().all(|c| c.is_ascii_uppercase());
    if fits { Ok(text.to_owned()) } else { Err("give three capital letters, as in USD") }
}

fn name(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= NAME_CHARS_MAX && text.chars().all(known) {
        Ok(text.to_owned())
    } else {
        Err(format!("give 1 to {NAME_CHARS_MAX} letters, digits, '-', '_' and '.'"))
    }
}

/// A backend; none where something is wrong with it.
fn backend(
    path: &str,
    value: &Value,
    currency: &str,
    names: &mut BTreeSet<String>,
    problems: &mut Problems,
) -> Option<Planned> {
    let mut section = Section::new(path.to_owned(), value, problems)?;
    let found = section.parsed("name", problems, name);
    let named = section.needed("name", found, "a name of your own", problems);
    if let Some(name) = &named
        && !names.insert(name.clone())
    {
        problems.add(
            &section.at("name"),
            format_args!("another backend is called {name:?}; give it another name"),
        );
    }
    let engine = section.text("engine", problems).unwrap_or("openai");
    let (kind, models, in_flight_max) = match engine {
        "openai" => {
            let remote = remote(&mut section, problems);
            let in_flight_max = section.count("in_flight_max", 32, 1..=10_000, problems);
            let items = section.list("models", problems);
            let models = models(&section.at("models"), items, currency, problems);
            (remote.map(|remote| Kind::OpenAi(Box::new(remote))), models, in_flight_max)
        }
        "embedded" => {
            let (local, model) = local(&mut section, currency, problems);
            let in_flight_max = section.count("in_flight_max", 8, 1..=1_000, problems);
            (local.map(Kind::Embedded), model.into_iter().collect(), in_flight_max)
        }
        _ => {
            problems.add(&section.at("engine"), "give openai or embedded");
            return None;
        }
    };
    section.done(problems);
    Some(Planned { name: named?, models, in_flight_max, kind: kind? })
}

fn remote(section: &mut Section<'_>, problems: &mut Problems) -> Option<Remote> {
    let found = section.parsed("url", problems, place);
    let url = section.needed("url", found, "its API, as https://host/v1", problems);
    let metrics = match section.get("metrics") {
        None => url.as_ref().and_then(|url| url.join("/metrics").ok()),
        Some(Value::String(text)) if text == "none" => None,
        Some(_) => section.parsed("metrics", problems, |text| {
            place(text).map_err(|what| format!("{what}; or none where they are not to be read"))
        }),
    };
    let credential_file = section.text("credential_file", problems).map(Into::into);
    let ca_file = section.text("ca_file", problems).map(Into::into);
    let timeout = section.millis("timeout_ms", 50_000, problems);
    let token_timeout = section.millis("token_timeout_ms", 20_000, problems);
    let probe_interval = section.millis("probe_interval_ms", 2_000, problems);
    if token_timeout > timeout {
        problems.add(&section.at("token_timeout_ms"), "it is longer than timeout_ms; give less");
    }
    for (key, url) in [("url", &url), ("metrics", &metrics)] {
        if let Some(url) = url
            && credential_file.is_some()
            && url.scheme() == "http"
            && !is_loopback(url)
        {
            problems.add(&section.at(key), "a credential would go there in the clear; give https://");
        }
    }
    Some(Remote { url: url?, metrics, credential_file, ca_file, token_timeout, timeout, probe_interval })
}

/// A place and nothing else.
fn place(text: &str) -> Result<Url, String> {
    let fix =
        "give http:// or https:// without user, query and fragment; a credential belongs in credential_file";
    let url = Url::parse(text).map_err(|_| fix.to_owned())?;
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    let bare = bare && url.fragment().is_none() && url.has_host();
    if bare && matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(fix.to_owned()) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn local(
    section: &mut Section<'_>,
    currency: &str,
    problems: &mut Problems,
) -> (Option<Local>, Option<Served>) {
    if cfg!(not(feature = "embedded")) {
        problems
            .add(&section.at("engine"), "this program was built without the feature embedded; give openai");
    }
    let file = section.text("file", problems);
    let file = section.needed("file", file, "the GGUF file", problems).map(Into::into);
    let context_tokens = section.count("context_tokens", 2_048, 64..=131_072, problems);
    let requantize = section.flag("requantize", true, problems);
    let embeddings = section.flag("embeddings", false, problems);
    let found = section.parsed("device", problems, |text| match text {
        "cpu" => Ok(false),
        "cuda" if cfg!(feature = "cuda") => Ok(true),
        "cuda" => Err("this program was built without the feature cuda; give cpu"),
        _ => Err("give cpu or cuda"),
    });
    let model = section.parsed("model", problems, ModelName::parse);
    let model = section.needed("model", model, "the model's name for callers", problems);
    let price = price(section, currency, problems);
    let mut uses = vec![Use::Chat, Use::Complete];
    uses.extend(embeddings.then_some(Use::Embed));
    let served = model.map(|name| Served { there: name.to_string(), name, uses, structured: true, price });
    let cuda = found.unwrap_or(false);
    (file.map(|file| Local { file, context_tokens, requantize, cuda }), served)
}

fn models(path: &str, items: &[Value], currency: &str, problems: &mut Problems) -> Vec<Served> {
    if items.len() > MODELS_MAX {
        problems.add(path, format_args!("there are {}, and {MODELS_MAX} are allowed", items.len()));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let one = |(at, item): (usize, &Value)| {
        let mut section = Section::new(format!("{path}[{at}]"), item, problems)?;
        let found = section.parsed("name", problems, ModelName::parse);
        let name = section.needed("name", found, "the model's name for callers", problems);
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            let what = format_args!("{name} stands here twice; take one away");
            problems.add(&section.at("name"), what);
        }
        let there =
            section.parsed("as", problems, |text| ModelName::parse(text).map(|name| name.to_string()));
        let uses = uses(&mut section, problems);
        let structured = section.flag("structured", false, problems);
        let price = price(&mut section, currency, problems);
        section.done(problems);
        let name = name?;
        Some(Served { there: there.unwrap_or_else(|| name.to_string()), name, uses, structured, price })
    };
    items.iter().enumerate().filter_map(one).collect()
}

fn uses(section: &mut Section<'_>, problems: &mut Problems) -> Vec<Use> {
    if section.get("uses").is_none() {
        return vec![Use::Chat, Use::Complete];
    }
    let mut found = Vec::new();
    for (at, item) in section.list("uses", problems).iter().enumerate() {
        match item.as_str() {
            Some("chat") => found.push(Use::Chat),
            Some("complete") => found.push(Use::Complete),
            Some("embed") => found.push(Use::Embed),
            _ => problems.add(&section.at(&format!("uses[{at}]")), "give chat, complete or embed"),
        }
    }
    found
}

fn price(section: &mut Section<'_>, currency: &str, problems: &mut Problems) -> Option<Price> {
    let value = section.get("price")?;
    let mut section = Section::new(section.at("price"), value, problems)?;
    let found = section.amount("input_per_million", problems);
    let input = section.needed("input_per_million", found, "what a million tokens of input cost", problems);
    let found = section.amount("output_per_million", problems);
    let output =
        section.needed("output_per_million", found, "what a million tokens of output cost", problems);
    section.done(problems);
    Some(Price { input_per_million: input?, output_per_million: output?, currency: currency.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends by panicking")]
    use super::*;

    #[test]
    fn a_file_is_read_with_its_defaults() {
        let text = "
currency: EUR
backends:
  - name: a
    url: https://a.example.org/v1
    credential_file: key
    models:
      - {name: small, as: org/Small-1B, structured: true, price: {input_per_million: 1, output_per_million: 2.5}}
      - {name: vectors, uses: [embed]}
  - {name: b, engine: embedded, file: m.gguf, model: smollm2}
";
        let planned = parse(text).unwrap();
        let Kind::OpenAi(remote) = &planned[0].kind else { panic!() };
        assert_eq!(remote.metrics.as_ref().unwrap().as_str(), "https://a.example.org/metrics");
        assert_eq!(planned[0].models[0].there, "org/Small-1B");
        assert_eq!(planned[0].models[0].price.as_ref().unwrap().currency, "EUR");
        assert_eq!((planned[0].models[1].uses.as_slice(), planned[0].in_flight_max), (&[Use::Embed][..], 32));
        assert!(matches!(&planned[1].kind, Kind::Embedded(local) if local.context_tokens == 2_048));
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_path_and_the_fix() {
        let text = "
currency: euro
speed: 1
backends:
  - name: 'a b'
    url: ftp://host
    token_timeout_ms: 60000
    models: []
  - {name: b, url: 'http://u:p@host/', credential_file: key, models: [{name: ../x, uses: [talk], price: {}}]}
  - {name: b, url: 'http://host.example.org/v1', credential_file: key, in_flight_max: 0, models: [{name: m}, {name: m, nme: x}]}
  - {engine: gpu}
  - {engine: embedded, device: tpu, context_tokens: many}
  - 7
";
        let Mistakes(found) = parse(text).unwrap_err();
        let wanted = [
            "currency: give three",
            "speed: there is no such key here; there are currency, backends",
            "backends[0].name: give 1 to 64",
            "backends[0].url: give http://",
            "backends[0].token_timeout_ms: it is longer",
            "backends[0].models: give a list",
            "backends[1].url: give http://",
            "backends[1].models[0].name: a model's name",
            "backends[1].models[0].uses[0]: give chat",
            "backends[1].models[0].price.input_per_million: missing; give what",
            "backends[1].models[0].price.output_per_million: missing; give what",
            "backends[2].name: another backend is called \"b\"",
            "backends[2].url: a credential would go there in the clear",
            "backends[2].metrics: a credential would go there in the clear",
            "backends[2].in_flight_max: give a whole number from 1 to 10000",
            "backends[2].models[1].name: m stands here twice",
            "backends[2].models[1].nme: there is no such key",
            "backends[3].name: missing",
            "backends[3].engine: give openai or embedded",
            "backends[4].name: missing",
            "backends[4].file: missing",
            "backends[4].context_tokens: give a whole number",
            "backends[4].device: give cpu or cuda",
            "backends[4].model: missing",
            "backends[5]: give a mapping",
        ];
        for line in &wanted {
            assert!(found.iter().any(|problem| problem.trim_start().starts_with(line)), "{line}: {found:#?}");
        }
        assert_eq!(found.len(), wanted.len(), "{found:#?}");
        for text in ["", "[]", "backends: 1", "backends: []", "a: b: c", "backends: [{name: a, name: b}]"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
