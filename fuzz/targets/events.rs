//! Fuzzes the splitter of event streams: `cargo +nightly fuzz run events`.

#![no_main]

#[path = "../../protocol/tests/mutated/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::events(bytes);
});
