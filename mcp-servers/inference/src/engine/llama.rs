//! The model itself: a decoder of the llama kind, in quantized matrices. It computes many positions at once for a prompt and
//! one at a time for what it writes; what it has seen is kept in a [`Cache`] that belongs to one call.

use super::gguf::{Gguf, Shape, told};
use candle_core::quantized::QMatMul;
use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope_i;

pub(super) struct Llama {
    tokens: QMatMul,
    layers: Vec<Layer>,
    norm: Tensor,
    output: QMatMul,
    cos: Tensor,
    sin: Tensor,
    shape: Shape,
    device: Device,
}

struct Layer {
    attention_norm: Tensor,
    query: QMatMul,
    key: QMatMul,
    value: QMatMul,
    output: QMatMul,
    norm: Tensor,
    gate: QMatMul,
    up: QMatMul,
    down: QMatMul,
}

/// Keys and values of the positions so far, for each layer. It is made for one call and goes with it.
pub(super) struct Cache {
    layers: Vec<(Tensor, Tensor)>,
    length: usize,
}

impl Llama {
    /// Reads it, for so many positions at most.
    pub(super) fn read(file: &mut Gguf, positions: usize) -> std::result::Result<Self, String> {
        let shape = file.shape()?;
        let (device, width) = (file.device().clone(), shape.width);
        let words = file.content.metadata.get("tokenizer.ggml.tokens").and_then(|value| value.to_vec().ok());
        let words = words.map_or(0, Vec::len);
        let tokens = file.matrix("token_embd.weight", words, width)?;
        let output = match file.has("output.weight") {
            true => file.matrix("output.weight", words, width)?,
            false => tokens.clone(), // The same numbers, once.
        };
        let inner =
            file.content.metadata.get("llama.feed_forward_length").and_then(|value| value.to_u32().ok());
        let inner = inner
            .and_then(|count| usize::try_from(count).ok())
            .ok_or("its feed_forward_length is missing")?;
        let narrow = shape.kv_heads * shape.head_width;
        let mut layers = Vec::new();
        for at in 0..shape.layers {
            let name = |part: &str| format!("blk.{at}.{part}.weight");
            layers.push(Layer {
                attention_norm: file.vector(&name("attn_norm"), width)?,
                query: file.matrix(&name("attn_q"), width, width)?,
                key: file.matrix(&name("attn_k"), narrow, width)?,
                value: file.matrix(&name("attn_v"), narrow, width)?,
                output: file.matrix(&name("attn_output"), width, width)?,
                norm: file.vector(&name("ffn_norm"), width)?,
                gate: file.matrix(&name("ffn_gate"), inner, width)?,
                up: file.matrix(&name("ffn_up"), inner, width)?,
                down: file.matrix(&name("ffn_down"), width, inner)?,
            });
        }
        let norm = file.vector("output_norm.weight", width)?;
        let (cos, sin) = turns(&shape, positions, &device).map_err(told)?;
        Ok(Self { tokens, layers, norm, output, cos, sin, shape, device })
    }

    pub(super) fn cache(&self, positions: usize) -> Result<Cache> {
        let shape = (self.shape.kv_heads, positions, self.shape.head_width);
        let empty = || Tensor::zeros(shape, DType::F32, &self.device);
        let layers = self.layers.iter().map(|_| Ok((empty()?, empty()?))).collect::<Result<_>>()?;
        Ok(Cache { layers, length: 0 })
    }

    /// What the model makes of some more tokens: a row of numbers for each.
    pub(super) fn states(&self, tokens: &[u32], cache: &mut Cache) -> Result<Tensor> {
        let count = tokens.len();
        let begin = cache.length;
        let (cos, sin) = (self.cos.narrow(0, begin, count)?, self.sin.narrow(0, begin, count)?);
        let mask = if count > 1 { Some(self.mask(begin, count)?) } else { None };
        let mut rows = self.tokens.embedding(&Tensor::new(tokens, &self.device)?)?.to_dtype(DType::F32)?;
        for (layer, (keys, values)) in self.layers.iter().zip(&cache.layers) {
            let normed = rms_norm(&rows, &layer.attention_norm, self.shape.norm_epsilon)?;
            let query = rope_i(
                &self.heads(&layer.query.forward(&normed)?, self.shape.heads)?.unsqueeze(0)?,
                &cos,
                &sin,
            )?;
            let key = rope_i(
                &self.heads(&layer.key.forward(&normed)?, self.shape.kv_heads)?.unsqueeze(0)?,
                &cos,
                &sin,
            )?;
            let value = self.heads(&layer.value.forward(&normed)?, self.shape.kv_heads)?;
            keys.slice_set(&key.squeeze(0)?, 1, begin)?;
            values.slice_set(&value, 1, begin)?;
            let seen = begin + count;
            let attended = self.attended(
                &query.squeeze(0)?,
                &keys.narrow(1, 0, seen)?,
                &values.narrow(1, 0, seen)?,
                mask.as_ref(),
            )?;
            rows = (rows + layer.output.forward(&attended)?)?;
            let normed = rms_norm(&rows, &layer.norm, self.shape.norm_epsilon)?;
            let inner = (silu(&layer.gate.forward(&normed)?)? * layer.up.forward(&normed)?)?;
            rows = (rows + layer.down.forward(&inner)?)?;
        }
        cache.length += count;
        rms_norm(&rows, &self.norm, self.shape.norm_epsilon)
    }

    /// How likely each token is to come behind a row, as logits.
    pub(super) fn logits(&self, states: &Tensor) -> Result<Vec<f32>> {
        let last = states.narrow(0, states.dim(0)? - 1, 1)?.contiguous()?;
        self.output.forward(&last)?.flatten_all()?.to_vec1()
    }

    /// From (positions, heads × width of a head) to (heads, positions, width of a head).
    fn heads(&self, rows: &Tensor, heads: usize) -> Result<Tensor> {
        rows.reshape((rows.dim(0)?, heads, self.shape.head_width))?.transpose(0, 1)?.contiguous()
    }

    /// Heads that share their keys stand one below the other, so each group is one multiplication.
    fn attended(
        &self,
        query: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let Shape { heads, kv_heads, head_width, width, .. } = self.shape;
        let (count, seen) = (query.dim(1)?, keys.dim(1)?);
        let grouped = query.reshape((kv_heads, heads / kv_heads * count, head_width))?;
        let scale = 1.0 / (head_width as f64).sqrt();
        let mut scores = (grouped.matmul(&keys.transpose(1, 2)?)? * scale)?;
        if let Some(mask) = mask {
            scores = scores.reshape((heads, count, seen))?.broadcast_add(mask)?;
            scores = scores.reshape((kv_heads, heads / kv_heads * count, seen))?;
        }
        let mixed = softmax_last_dim(&scores)?.matmul(values)?;
        mixed.reshape((heads, count, head_width))?.transpose(0, 1)?.reshape((count, width))
    }

    /// No position sees a later one.
    fn mask(&self, begin: usize, count: usize) -> Result<Tensor> {
        let seen = begin + count;
        let row =
            |at: usize| (0..seen).map(move |other| if other > begin + at { f32::NEG_INFINITY } else { 0.0 });
        Tensor::from_iter((0..count).flat_map(row), &self.device)?.reshape((count, seen))
    }
}

/// How positions turn the numbers of a head.
fn turns(shape: &Shape, positions: usize, device: &Device) -> Result<(Tensor, Tensor)> {
    let speeds =
        (0..shape.head_width / 2).map(|at| shape.rope_base.powf(-2.0 * at as f32 / shape.head_width as f32));
    let speeds = Tensor::from_iter(speeds, device)?.unsqueeze(0)?;
    let at = Tensor::from_iter((0..positions).map(|at| at as f32), device)?.unsqueeze(1)?;
    let angles = at.matmul(&speeds)?;
    Ok((angles.cos()?, angles.sin()?))
}
