//! Fuzzes the decoder of MCP calls: `cargo +nightly fuzz run call`.

#![no_main]

#[path = "../../protocol/tests/mutated/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::call(bytes);
});
