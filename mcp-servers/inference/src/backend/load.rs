//! How busy a backend says it is, in the text format of Prometheus. vLLM's and llama.cpp's names are known; of others only
//! this server's own calls count.

/// What a backend says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    /// Calls that are worked on.
    pub(crate) running: f64,
    /// Calls that wait.
    pub(crate) waiting: f64,
    /// How full its cache of keys and values is, 0 to 1, where it says so.
    pub(crate) cache: Option<f64>,
}

const RUNNING: [&str; 2] = ["vllm:num_requests_running", "llamacpp:requests_processing"];
const WAITING: [&str; 2] = ["vllm:num_requests_waiting", "llamacpp:requests_deferred"];
const CACHE: [&str; 3] =
    ["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "llamacpp:kv_cache_usage_ratio"];

/// Reads it out of a page of metrics: sums over all series of a name, of the cache the fullest. None where no name is known.
pub(crate) fn read(page: &str) -> Option<Load> {
    let (mut running, mut waiting, mut cache) = (None, None, None::<f64>);
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let Some(value) = value(line.get(name.len()..).unwrap_or_default()) else { continue };
        if RUNNING.contains(&name) {
            running = Some(running.unwrap_or(0.0) + value);
        } else if WAITING.contains(&name) {
            waiting = Some(waiting.unwrap_or(0.0) + value);
        } else if CACHE.contains(&name) {
            cache = Some(cache.unwrap_or(0.0).max(value));
        }
    }
    Some(Load { running: running?, waiting: waiting.unwrap_or(0.0), cache })
}

/// The number behind a name and its labels; a label may hold a brace or a blank.
fn value(rest: &str) -> Option<f64> {
    let numbers = match rest.strip_prefix('{') {
        Some(_) => rest.rsplit_once('}')?.1,
        None => rest,
    };
    let value: f64 = numbers.split_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some(value.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_makes_are_read_and_others_are_not() {
        let vllm = "# HELP vllm:num_requests_running x\nvllm:num_requests_running{engine=\"0\",model_name=\"a } b\"} 3.0\n\
            vllm:num_requests_running{engine=\"1\",model_name=\"c\"} 2.0 1767225600\nvllm:num_requests_waiting{engine=\"0\"} 7\n\
            vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n";
        assert_eq!(read(vllm), Some(Load { running: 5.0, waiting: 7.0, cache: Some(0.25) }));
        let llama = "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n";
        assert_eq!(read(llama), Some(Load { running: 1.0, waiting: 2.0, cache: None }));
        for other in [
            "",
            "<html>",
            "up 1",
            "vllm:num_requests_running{a=\"b\"} NaN",
            "vllm:num_requests_running",
            "\u{0}{",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
