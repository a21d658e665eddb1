//! The keys that session ids and push URLs are sealed with. The first seals, all of them open: a key is put in front while the older
//! ones still open what they sealed, and is taken out when their sessions have ended.
//!
//! What is sealed is base64url without padding of: 1 byte form, 4 bytes key name, 12 bytes nonce, then AES-256-GCM-SIV
//! (RFC 8452) over what is in it. The form is associated data: what was sealed as one thing opens as no other. Of a session
//! (form 1) it is the end (8 bytes, seconds since 1970, big endian), owner (32), server (32) and the upstream's id.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::fill;
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD_NO_PAD};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Keys, the sealing one first. `Debug` shows their names and nothing else.
pub struct KeyRing(Vec<Key>);

struct Key {
    name: [u8; NAME],
    key: RandomizedNonceKey,
}

/// What a session id says once it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The upstream's id.
    pub session: String,
    /// Whose it is.
    pub owner: [u8; 32],
    /// On which server.
    pub server: [u8; 32],
    /// When it ends, in whole seconds.
    pub ends: SystemTime,
}

/// Why a text is no key ring.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyRingError {
    /// No line with a key.
    #[error("there is no key in it")]
    Empty,
    /// Too many.
    #[error("there are more than {KEYS_MAX} keys in it")]
    TooMany,
    /// A line that is no key.
    #[error("line {0} is not 32 bytes in base64")]
    Line(usize),
}

const SESSION: u8 = 1;
/// The form of what push URLs hold.
pub(crate) const PUSH: u8 = 2;
const NAME: usize = 4;
const KEY_BYTES: usize = 32;
/// End, owner and server.
const FIXED: usize = 8 + 32 + 32;
/// The most keys of a ring.
pub const KEYS_MAX: usize = 16;
/// The longest upstream id that is sealed, in bytes.
pub const SESSION_BYTES_MAX: usize = 1024;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

impl KeyRing {
    /// Reads a ring: a key a line, 32 bytes in base64 of either alphabet; empty lines and `#` comments are passed over.
    ///
    /// # Errors
    /// [`KeyRingError`], which never quotes the text.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
        let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<Key> = keys
            .map(|(number, line)| {
                let bytes = STANDARD.decode(line).or_else(|_| URL_SAFE.decode(line));
                bytes.ok().and_then(|bytes| Key::new(&bytes)).ok_or(KeyRingError::Line(number))
            })
            .collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(KeyRingError::Empty),
            count if count > KEYS_MAX => Err(KeyRingError::TooMany),
            _ => Ok(Self(keys)),
        }
    }

    /// A ring with one new key that nobody else has.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn of_the_moment() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; KEY_BYTES];
        fill(&mut bytes)?;
        Key::new(&bytes).map(|key| Self(vec![key])).ok_or(aws_lc_rs::error::Unspecified)
    }

    /// A new key as a line of a ring.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn generate() -> Result<String, aws_lc_rs::error::Unspecified> {
        let mut bytes = [0; KEY_BYTES];
        fill(&mut bytes)?;
        Ok(STANDARD_NO_PAD.encode(bytes))
    }

    /// Whether it is the same keys in the same order.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.0.iter().map(|key| key.name).eq(other.0.iter().map(|key| key.name))
    }

    /// Seals a session id; none if the upstream's is too long.
    pub(crate) fn seal(&self, sealed: &Sealed) -> Option<String> {
        if sealed.session.len() > SESSION_BYTES_MAX {
            return None;
        }
        let ends = sealed.ends.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let body =
            [&ends.to_be_bytes()[..], &sealed.owner, &sealed.server, sealed.session.as_bytes()].concat();
        self.seal_as(SESSION, body)
    }

    /// Opens a session id that one of the keys sealed.
    pub(crate) fn open(&self, text: &str) -> Option<Sealed> {
        let opened = self.open_as(SESSION, text)?;
        let (fixed, session) = opened.split_first_chunk::<FIXED>()?;
        let (ends, rest) = fixed.split_first_chunk::<8>()?;
        let (owner, server) = rest.split_first_chunk::<32>()?;
        Some(Sealed {
            session: String::from_utf8(session.to_vec()).ok()?,
            owner: *owner,
            server: server.try_into().ok()?,
            ends: UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*ends)))?,
        })
    }

    /// Seals anything as a form.
    pub(crate) fn seal_as(&self, form: u8, mut body: Vec<u8>) -> Option<String> {
        let key = self.0.first()?;
        let nonce = key.key.seal_in_place_append_tag(Aad::from([form]), &mut body).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&[form][..], &key.name, nonce.as_ref(), &body].concat()))
    }

    /// Opens what one of the keys sealed as that form.
    pub(crate) fn open_as(&self, form: u8, text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (said, rest) = bytes.split_first()?;
        let (name, rest) = rest.split_first_chunk::<NAME>()?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.0.iter().find(|key| key.name == *name).filter(|_| *said == form)?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.key.open_in_place(nonce, Aad::from([form]), &mut body).ok()?.len();
        body.truncate(length);
        Some(body)
    }
}

impl Key {
    fn new(bytes: &[u8]) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes).ok()?;
        let name = digest(&SHA256, bytes).as_ref().first_chunk::<NAME>().copied()?;
        Some(Self { name, key })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| crate::audit::chain::hex(&key.name))).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn sealed() -> Sealed {
        let ends = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Sealed { session: "5f1c-upstream".into(), owner: [1; 32], server: [2; 32], ends }
    }

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::parse(&keys.join("\n")).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_and_says_nothing_by_itself() {
        let ring = ring(&[&KeyRing::generate().unwrap()]);
        let id = ring.seal(&sealed()).unwrap();
        assert_eq!(ring.open(&id), Some(sealed()));
        assert!(!URL_SAFE_NO_PAD.decode(&id).unwrap().windows(8).any(|w| w == b"upstream"));
        assert_ne!(ring.seal(&sealed()), Some(id), "two of the same differ");
    }

    #[test]
    fn any_changed_byte_closes_it() {
        let ring = ring(&[&KeyRing::generate().unwrap()]);
        let bytes = URL_SAFE_NO_PAD.decode(ring.seal(&sealed()).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(ring.open(&URL_SAFE_NO_PAD.encode(&changed)), None, "byte {at}");
            assert_eq!(ring.open(&URL_SAFE_NO_PAD.encode(&bytes[..at])), None, "cut at {at}");
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open_until_they_are_taken_out() {
        let (old, new) = (KeyRing::generate().unwrap(), KeyRing::generate().unwrap());
        let id = ring(&[&old]).seal(&sealed()).unwrap();
        assert_eq!(ring(&[&new, &old]).open(&id), Some(sealed()));
        assert_eq!(ring(&[&new]).open(&id), None);
        let id = ring(&[&new, &old]).seal(&sealed()).unwrap();
        assert_eq!(ring(&[&new]).open(&id), Some(sealed()));
    }

    #[test]
    fn a_ring_is_keys_of_32_bytes_and_comments() {
        let key = KeyRing::generate().unwrap();
        assert_eq!(ring(&["# newest first", "", &key, &format!("{key}=")]).0.len(), 2);
        for (text, error) in [
            (String::from("# none\n"), KeyRingError::Empty),
            (format!("{key}\nshort"), KeyRingError::Line(2)),
            (format!("{}\n", &key[1..]), KeyRingError::Line(1)),
            (format!("{key}\n").repeat(17), KeyRingError::TooMany),
        ] {
            assert_eq!(KeyRing::parse(&text).err(), Some(error));
        }
        assert!(!format!("{:?}", ring(&[&key])).contains(&key));
    }

    #[test]
    fn an_upstream_id_that_is_too_long_is_not_sealed() {
        let ring = ring(&[&KeyRing::generate().unwrap()]);
        let of = |length| ring.seal(&Sealed { session: "x".repeat(length), ..sealed() });
        assert!(of(SESSION_BYTES_MAX).is_some());
        assert!(of(SESSION_BYTES_MAX + 1).is_none());
    }
}
