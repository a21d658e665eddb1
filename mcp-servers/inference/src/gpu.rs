//! The GPUs of this machine, as NVIDIA's management library tells. The library is looked for when somebody asks.

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use schemars::JsonSchema;
use serde::Serialize;
use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

/// The library, once somebody has asked.
#[derive(Clone, Default)]
pub(crate) struct Gpus(Arc<OnceLock<Result<Nvml, String>>>);

/// The name that the driver installs; the one without a number comes with its headers only.
const LIBRARY: &str = "libnvidia-ml.so.1";
const MIB: u64 = 1 << 20;

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GpuStatus {
    /// Whether there is a GPU that can be asked
    available: bool,
    /// Why not; absent where there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The version of the driver
    #[serde(skip_serializing_if = "Option::is_none")]
    driver: Option<String>,
    /// The GPUs
    gpus: Vec<Gpu>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Gpu {
    /// Its number
    index: u32,
    /// What it is called; what it doesn't say is absent, here and below
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Memory, MiB
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_mib: Option<u64>,
    /// Memory in use, MiB
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_mib: Option<u64>,
    /// Percent of the time in which it computed
    #[serde(skip_serializing_if = "Option::is_none")]
    busy_percent: Option<u32>,
    /// Degrees Celsius
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<u32>,
    /// Watts
    #[serde(skip_serializing_if = "Option::is_none")]
    watts: Option<f64>,
    /// Programs that compute on it
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<u32>,
}

impl Gpus {
    /// What the GPUs do. It may block for some time.
    pub(crate) fn status(&self) -> GpuStatus {
        let found = self.0.get_or_init(|| {
            Nvml::builder().lib_path(OsStr::new(LIBRARY)).init().map_err(|error| reason(&error))
        });
        match found.as_ref().map_err(Clone::clone).and_then(|nvml| all(nvml).map_err(|error| reason(&error)))
        {
            Ok(status) => status,
            Err(reason) => {
                GpuStatus { available: false, reason: Some(reason), driver: None, gpus: Vec::new() }
            }
        }
    }
}

fn all(nvml: &Nvml) -> Result<GpuStatus, NvmlError> {
    let count = nvml.device_count()?;
    let gpus: Vec<_> = (0..count).map(|index| one(index, nvml.device_by_index(index).ok())).collect();
    let reason = gpus.is_empty().then(|| "the driver is there, and it has no GPU".to_owned());
    Ok(GpuStatus { available: !gpus.is_empty(), reason, driver: nvml.sys_driver_version().ok(), gpus })
}

/// Older and smaller ones don't say everything, and that is no failure.
fn one(index: u32, device: Option<Device<'_>>) -> Gpu {
    let device = device.as_ref();
    let memory = device.and_then(|device| device.memory_info().ok());
    Gpu {
        index,
        name: device.and_then(|device| device.name().ok()),
        memory_mib: memory.as_ref().map(|memory| memory.total / MIB),
        memory_used_mib: memory.as_ref().map(|memory| memory.used / MIB),
        busy_percent: device.and_then(|device| device.utilization_rates().ok()).map(|rates| rates.gpu),
        temperature: device.and_then(|device| device.temperature(TemperatureSensor::Gpu).ok()),
        watts: device
            .and_then(|device| device.power_usage().ok())
            .map(|milliwatts| f64::from(milliwatts) / 1000.0),
        processes: device.and_then(|device| device.running_compute_processes_count().ok()),
    }
}

fn reason(error: &NvmlError) -> String {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => {
            "there is no NVIDIA driver on this machine".to_owned()
        }
        NvmlError::DriverNotLoaded => "the NVIDIA driver is not loaded".to_owned(),
        NvmlError::NoPermission => "this server may not ask the NVIDIA driver".to_owned(),
        _ => "the NVIDIA driver does not answer".to_owned(),
    }
}

impl GpuStatus {
    pub(crate) fn line(&self) -> String {
        match &self.reason {
            Some(reason) => format!("no GPU: {reason}"),
            None => format!("{} GPUs", self.gpus.len()),
        }
    }
}
