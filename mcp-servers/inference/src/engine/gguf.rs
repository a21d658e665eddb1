//! A GGUF file: what it says of its model, checked, and its tensors. Only what this engine can run is taken.

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Tensor};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// An open file.
pub(super) struct Gguf {
    pub(super) content: Content,
    reader: BufReader<File>,
    device: Device,
    requantize: bool,
}

/// The measures of a model.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Heads of keys and values; each serves several of the others.
    pub(super) kv_heads: usize,
    pub(super) head_width: usize,
    pub(super) norm_epsilon: f32,
    pub(super) rope_base: f32,
    /// Tokens that it was made for.
    pub(super) context: usize,
}

const ARCHITECTURE: &str = "llama";
const LAYERS_MAX: usize = 1_000;
const WIDTH_MAX: usize = 65_536;

impl Gguf {
    pub(super) fn open(path: &Path, device: Device, requantize: bool) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut reader = BufReader::new(file);
        let content = Content::read(&mut reader).map_err(|_| format!("{}: it is no GGUF", path.display()))?;
        let found = content.metadata.get("general.architecture").and_then(|value| value.to_string().ok());
        match found.map(String::as_str) {
            Some(ARCHITECTURE) => Ok(Self { content, reader, device, requantize }),
            other => Err(format!(
                "its architecture is {other:?}; this engine runs {ARCHITECTURE}, others need a server"
            )),
        }
    }

    pub(super) fn shape(&self) -> Result<Shape, String> {
        let (width, heads) =
            (self.count("embedding_length", WIDTH_MAX)?, self.count("attention.head_count", WIDTH_MAX)?);
        let kv_heads = self.count("attention.head_count_kv", WIDTH_MAX).unwrap_or(heads);
        let (head_width, rest) = (width / heads, width % heads);
        let turned = self.count("rope.dimension_count", WIDTH_MAX).unwrap_or(head_width);
        if rest != 0 || heads % kv_heads != 0 || head_width % 2 != 0 || turned != head_width {
            return Err("its measures don't fit each other".to_owned());
        }
        if self.count("expert_count", usize::MAX).is_ok() {
            return Err("it is a mixture of experts, which this engine does not run".to_owned());
        }
        let scaled = self.content.metadata.keys().any(|key| key.contains(".rope.scaling."));
        if scaled || self.content.tensor_infos.contains_key("rope_freqs.weight") {
            return Err("its positions are scaled, which this engine does not do".to_owned());
        }
        Ok(Shape {
            layers: self.count("block_count", LAYERS_MAX)?,
            width,
            heads,
            kv_heads,
            head_width,
            norm_epsilon: self
                .number("attention.layer_norm_rms_epsilon")
                .ok_or("it has no epsilon of its norms")?,
            rope_base: self.number("rope.freq_base").unwrap_or(10_000.0),
            context: self.count("context_length", usize::MAX)?,
        })
    }

    /// A count from 1 to a bound.
    fn count(&self, key: &str, max: usize) -> Result<usize, String> {
        let value = self.content.metadata.get(&format!("{ARCHITECTURE}.{key}"));
        let count = value.and_then(|value| value.to_u32().ok()).and_then(|count| usize::try_from(count).ok());
        count
            .filter(|count| (1..=max).contains(count))
            .ok_or_else(|| format!("its {key} is missing or out of bounds"))
    }

    fn number(&self, key: &str) -> Option<f32> {
        self.content
            .metadata
            .get(&format!("{ARCHITECTURE}.{key}"))?
            .to_f32()
            .ok()
            .filter(|number| number.is_finite())
    }

    /// A text of the metadata.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.content.metadata.get(key).and_then(|value| value.to_string().ok()).map(String::as_str)
    }

    /// A number of a token.
    pub(super) fn token(&self, key: &str) -> Option<u32> {
        self.content.metadata.get(key).and_then(|value| value.to_u32().ok())
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.content.metadata.get(key), Some(Value::Bool(true)))
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// A matrix for multiplications, of the rows and columns that it has to have.
    pub(super) fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<QMatMul, String> {
        let mut tensor = self.tensor(name, &[rows, columns])?;
        if self.requantize && is_slow(tensor.dtype()) && columns.is_multiple_of(GgmlDType::Q8_0.block_size())
        {
            let plain = tensor.dequantize(&Device::Cpu).map_err(told)?;
            tensor = QTensor::quantize_onto(&plain, GgmlDType::Q8_0, &self.device).map_err(told)?;
        }
        QMatMul::from_qtensor(tensor).map_err(told)
    }

    /// Plain numbers.
    pub(super) fn vector(&mut self, name: &str, length: usize) -> Result<Tensor, String> {
        let tensor = self.tensor(name, &[length])?;
        tensor.dequantize(&self.device).map_err(told)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<QTensor, String> {
        match self.content.tensor_infos.get(name) {
            Some(info) if info.shape.dims() == shape => {}
            Some(_) => return Err(format!("its tensor {name} has another shape than its measures say")),
            None => return Err(format!("it has no tensor {name}")),
        }
        self.content.tensor(&mut self.reader, name, &self.device).map_err(told)
    }
}

/// Kinds of numbers that candle multiplies slowly; 8-bit ones it multiplies with the CPU's vectors.
fn is_slow(kind: GgmlDType) -> bool {
    use GgmlDType::{BF16, F16, F32, Q4_1, Q5_0, Q5_1};
    matches!(kind, F32 | F16 | BF16 | Q4_1 | Q5_0 | Q5_1)
}

/// The library's first line; it may have a backtrace behind it.
pub(super) fn told(error: candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
