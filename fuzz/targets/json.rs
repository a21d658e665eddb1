//! Fuzzes the strict scanner: `cargo +nightly fuzz run json`.

#![no_main]

#[path = "../../protocol/tests/mutated/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::json(bytes);
});
