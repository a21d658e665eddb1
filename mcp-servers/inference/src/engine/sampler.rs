//! Which token comes next.

use crate::ask::Sampling;

/// Draws among this many of the likeliest tokens at most.
const CANDIDATES: usize = 256;

pub(super) struct Sampler {
    temperature: f64,
    top_p: f64,
    state: u64,
}

impl Sampler {
    /// Without a temperature it takes the likeliest token; without a seed the draws of each call are others.
    pub(super) fn new(sampling: &Sampling, unseeded: u64) -> Self {
        Self {
            temperature: sampling.temperature.unwrap_or(0.0),
            top_p: sampling.top_p.unwrap_or(1.0),
            state: sampling.seed.map_or(unseeded, u64::from),
        }
    }

    /// The next token among those that are admitted; none if none is.
    pub(super) fn next(&mut self, logits: &[f32], mut admits: impl FnMut(u32) -> bool) -> Option<u32> {
        let count = CANDIDATES.min(logits.len());
        let mut order: Vec<u32> = (0..u32::try_from(logits.len()).ok()?).collect();
        let logit = |token: &u32| {
            usize::try_from(*token).ok().and_then(|at| logits.get(at)).copied().unwrap_or(f32::MIN)
        };
        let better = |a: &u32, b: &u32| logit(b).total_cmp(&logit(a)).then(a.cmp(b));
        if count < order.len() {
            order.select_nth_unstable_by(count, better);
        }
        let (likeliest, others) = order.split_at_mut(count);
        likeliest.sort_unstable_by(better);
        if self.temperature <= 0.0 {
            if let Some(found) = likeliest.iter().copied().find(|token| admits(*token)) {
                return Some(found);
            }
        } else {
            let admitted: Vec<u32> = likeliest.iter().copied().filter(|token| admits(*token)).collect();
            if let Some(found) = self.drawn(&admitted, logit) {
                return Some(found);
            }
        }
        others.sort_unstable_by(better);
        others.iter().copied().find(|token| admits(*token))
    }

    /// One of some tokens, the likeliest first, by their probabilities.
    fn drawn(&mut self, tokens: &[u32], logit: impl Fn(&u32) -> f32) -> Option<u32> {
        let top = f64::from(logit(tokens.first()?));
        let weights: Vec<f64> =
            tokens.iter().map(|token| ((f64::from(logit(token)) - top) / self.temperature).exp()).collect();
        let limit = weights.iter().sum::<f64>() * self.top_p;
        let (mut kept, mut sum) = (0, 0.0);
        for weight in &weights {
            (kept, sum) = (kept + 1, sum + weight);
            if sum >= limit {
                break;
            }
        }
        let mut left = self.unit() * sum;
        let drawn = tokens.iter().zip(&weights).take(kept).find(|(_, weight)| {
            left -= **weight;
            left < 0.0
        });
        drawn.map(|(token, _)| *token).or(tokens.first().copied())
    }

    /// A number from 0 to below 1 (SplitMix64).
    fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64, seed: u32) -> Sampler {
        let sampling = Sampling {
            tokens_max: 1,
            temperature: Some(temperature),
            top_p: Some(top_p),
            stop: Vec::new(),
            seed: Some(seed),
        };
        Sampler::new(&sampling, 0)
    }

    #[test]
    fn without_a_temperature_the_likeliest_admitted_token_comes() {
        let mut logits = vec![0.0; 1_000];
        (logits[900], logits[3]) = (2.0, 1.0);
        let mut sampler = sampler(0.0, 1.0, 1);
        assert_eq!(sampler.next(&logits, |_| true), Some(900));
        assert_eq!(sampler.next(&logits, |token| token < 900), Some(3));
        assert_eq!(sampler.next(&logits, |token| token == 999), Some(999), "however unlikely");
        assert_eq!(sampler.next(&logits, |_| false), None);
        assert_eq!(sampler.next(&[], |_| true), None);
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let logits = [f32::ln(8.0), f32::ln(1.0), f32::ln(1.0)];
        let mut first = sampler(1.0, 1.0, 7);
        let drawn: Vec<_> = (0..2_000).filter_map(|_| first.next(&logits, |_| true)).collect();
        let most = drawn.iter().filter(|token| **token == 0).count();
        assert!((1_500..1_700).contains(&most), "{most}");
        let mut again = sampler(1.0, 1.0, 7);
        assert!(drawn.iter().all(|token| again.next(&logits, |_| true) == Some(*token)));
        let mut narrow = sampler(1.0, 0.5, 7);
        assert!((0..100).all(|_| narrow.next(&logits, |_| true) == Some(0)));
    }
}
