#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use super::files::FileKeys;
use super::*;
use crate::exchange::client::ACCESS_TOKEN_TYPE;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;

const DAY: Duration = Duration::from_secs(86_400);
const ROTATION: Rotation =
    Rotation { every: Duration::from_secs(30 * 86_400), ahead: Duration::from_secs(300), overlap: DAY };

fn ring(folder: &std::path::Path, now: SystemTime) -> Ring {
    Ring::open(Arc::new(FileKeys::open(folder).unwrap()), ROTATION, now).unwrap()
}

fn kids(ring: &Ring) -> Vec<String> {
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    ring.jwks()["keys"].as_array().unwrap().iter().map(kid).collect()
}

/// Which of the published keys has signed a token, after it was verified with them.
fn signs(ring: &Ring, now: SystemTime) -> usize {
    let claims = json!({"iss": "i", "sub": "s", "aud": "a", "exp": 4_000_000_000_u64});
    let token = ring.sign(ACCESS_TOKEN_TYPE, claims.as_object().unwrap(), now).unwrap();
    tokens::authentic(token.expose(), &ring.verifying()).unwrap();
    let alone = |kid: &String| {
        let mut jwks = ring.jwks();
        jwks["keys"].as_array_mut().unwrap().retain(|key| key["kid"] == kid.as_str());
        let keys = Keys::from_jwks(jwks.to_string().as_bytes()).unwrap();
        tokens::authentic(token.expose(), &keys).is_ok()
    };
    kids(ring).iter().position(alone).unwrap()
}

#[test]
fn a_key_is_published_before_it_signs_and_after_it_has_signed() {
    let folder = tempfile::tempdir().unwrap();
    let start = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    let ring = ring(folder.path(), start);
    assert_eq!((kids(&ring).len(), signs(&ring, start)), (1, 0), "the first one signs at once");
    let first = kids(&ring);

    assert!(!ring.rotate(start + ROTATION.every - Duration::from_secs(1)).unwrap());
    let due = start + ROTATION.every;
    assert!(ring.rotate(due).unwrap());
    assert_eq!(
        (kids(&ring).len(), signs(&ring, due)),
        (2, 0),
        "the next one is there, and does not sign yet"
    );
    assert_eq!(signs(&ring, due + ROTATION.ahead), 1);

    let over = due + ROTATION.ahead + ROTATION.overlap;
    assert!(!ring.rotate(over - Duration::from_secs(1)).unwrap());
    assert!(ring.rotate(over).unwrap());
    assert_eq!(kids(&ring).len(), 1);
    assert_ne!(kids(&ring), first);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the old one is destroyed");
}

#[test]
fn keys_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    let before = kids(&ring(folder.path(), start));
    assert_eq!(kids(&ring(folder.path(), start + DAY)), before);
    let late = ring(folder.path(), start + 40 * DAY);
    assert_eq!((kids(&late).len(), signs(&late, start + 40 * DAY)), (2, 0), "what was due meanwhile is done");
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let start = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
    ring(folder.path(), start);
    let path = folder.path().join("1764000000.key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(FileKeys::open(folder.path()), Err(KeyError::OthersMayRead(_))));
}
