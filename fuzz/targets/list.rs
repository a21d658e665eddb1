//! Fuzzes the filter of lists: `cargo +nightly fuzz run list`.

#![no_main]

#[path = "../../protocol/tests/mutated/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::list(bytes);
});
