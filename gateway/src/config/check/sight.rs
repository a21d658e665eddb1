//! What others may see of the gateway: the admin listener, and where traces go.

use super::Checker;
use crate::config::file::{AdminFile, OtlpFile, TelemetryFile};
use crate::config::{Admin, Traces};
use std::time::Duration;
use url::Url;

/// Where the admin listener is, if nothing is said about it.
const ADMIN: &str = "127.0.0.1:9901";
const COLLECTOR: &str = "write the collector's base URL, as http://127.0.0.1:4318";

/// How long an admin connection, or the delivery of spans, may take.
fn times() -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(100)..=Duration::from_secs(60)
}

impl Checker<'_> {
    /// `Some(None)`: it is off.
    pub(super) fn admin(&mut self, file: &AdminFile) -> Option<Option<Admin>> {
        let connections_max =
            self.problems.number("admin.connections_max", file.connections_max, 64, 1..=10_000);
        let timeout = file.timeout.as_deref();
        let timeout = self.problems.duration("admin.timeout", timeout, Duration::from_secs(5), times());
        let listen = file.listen.as_deref().unwrap_or(ADMIN);
        if listen == "off" {
            return Some(None);
        }
        let fix = "write address and port, as 127.0.0.1:9901, or `off`";
        let listen = self.problems.parse("admin.listen", listen, fix)?;
        Some(Some(Admin { listen, connections_max, timeout }))
    }

    /// `Some(None)`: traces go nowhere.
    pub(super) fn traces(&mut self, file: &TelemetryFile) -> Option<Option<Traces>> {
        let sample = file.traces.sample.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&sample) {
            let fix = "write a share between 0 and 1";
            self.problems.add("telemetry.traces.sample", format!("{sample} is out of range"), fix);
        }
        let queue = file.traces.queue_max;
        let queue_max = self.problems.number("telemetry.traces.queue_max", queue, 16_384, 64..=10_000_000);
        let Some(otlp) = &file.otlp else { return Some(None) };
        let timeout = otlp.timeout.as_deref();
        let timeout =
            self.problems.duration("telemetry.otlp.timeout", timeout, Duration::from_secs(5), times());
        let server = self.https_server("telemetry.otlp.server", &otlp.server);
        let endpoint = self.collector(otlp)?;
        Some(Some(Traces { endpoint, server: server?, timeout, sample, queue_max }))
    }

    fn collector(&mut self, file: &OtlpFile) -> Option<Url> {
        let path = "telemetry.otlp.endpoint";
        let mut url: Url = self.problems.parse(path, &file.endpoint, COLLECTOR)?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || !plain {
            let wrong =
                format!("{:?} is not an http or https URL without user, query and fragment", file.endpoint);
            self.problems.add(path, wrong, COLLECTOR);
            return None;
        }
        url.set_path(&format!("{}/v1/traces", url.path().trim_end_matches('/')));
        Some(url)
    }
}
