#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
use super::*;

#[test]
fn each_refused_key_has_an_accepted_twin() {
    for (refused, why, accepted) in [
        ("", NameError::Length, "x"),
        ("/public/hello.txt", NameError::EmptySegment, "public/hello.txt"),
        ("public//hello.txt", NameError::EmptySegment, "public/hello.txt"),
        ("public/", NameError::EmptySegment, "public"),
        ("public/../private/salary.csv", NameError::DotSegment, "public/..private/salary.csv"),
        ("..", NameError::DotSegment, "..."),
        ("public/./hello.txt", NameError::DotSegment, "public/.hello.txt"),
        ("public\\hello.txt", NameError::Backslash, "public|hello.txt"),
        ("public/%2e%2e/salary.csv", NameError::Encoded, "public/2e2e/salary.csv"),
        ("public/%2E", NameError::Encoded, "public/%2"),
        ("public%2fhello.txt", NameError::Encoded, "public%2ghello.txt"),
        ("public/%252e", NameError::Encoded, "public/%"),
        ("public%5chello.txt", NameError::Encoded, "public-50%-off.txt"),
        ("public/%00", NameError::Encoded, "public/%20"),
        ("public/%c0%ae", NameError::Encoded, "public/%-c0-ae"),
        ("public/a\0b", NameError::Control, "public/a b"),
        ("public/a\nb", NameError::Control, "public/a_b"),
        ("public/a\u{202e}b", NameError::Control, "public/aüb"),
        ("public/a\u{200b}b", NameError::Control, "public/a日b"),
    ] {
        assert_eq!(Key::parse(refused), Err(why), "{refused:?}");
        assert!(Key::parse(accepted).is_ok(), "{accepted:?}");
    }
    assert_eq!(Key::parse(&"k".repeat(1025)), Err(NameError::Length));
    assert!(Key::parse(&"k".repeat(1024)).is_ok());
}

#[test]
fn a_prefix_may_end_anywhere_in_a_key_but_cannot_climb() {
    for accepted in ["", "public/", "public/he", "pub", "public/.", "a.b/"] {
        assert!(Prefix::parse(accepted).is_ok(), "{accepted:?}");
    }
    for refused in
        ["/", "/public", "public//", "../", "public/..", "public/../private", "a\\b", "%2e%2e/", "./"]
    {
        assert!(Prefix::parse(refused).is_err(), "{refused:?}");
    }
    assert_eq!(Prefix::parse("public/he").unwrap().folder(), "public");
    assert_eq!(Prefix::parse("pub").unwrap().folder(), "");
}

#[test]
fn bucket_names_are_those_of_s3() {
    for accepted in ["demo", "a.b", "x-1", "123"] {
        assert!(Bucket::parse(accepted).is_ok(), "{accepted:?}");
    }
    for refused in ["", "ab", "Demo", "a..b", "-ab", "ab-", ".ab", "a/b", "..", "a_b", &"a".repeat(64)] {
        assert_eq!(Bucket::parse(refused), Err(NameError::Bucket), "{refused:?}");
    }
}

#[test]
fn an_object_has_one_uri() {
    let (bucket, key) = (Bucket::parse("demo").unwrap(), Key::parse("public/50% ü?.txt").unwrap());
    let written = uri(&bucket, &key);
    assert_eq!(written, "s3://demo/public/50%25%20%C3%BC%3F.txt");
    assert_eq!(parse_uri(&written), Ok((bucket, key)));
    assert!(parse_uri("s3://demo/public/hello.txt").is_ok());
    for refused in [
        "s3://demo/public%2Fhello.txt",
        "s3://demo/public/%2e%2e/private/salary.csv",
        "s3://demo/public/../private/salary.csv",
        "s3://demo/public/hello%2etxt",
        "s3://demo/public/%68ello.txt",
        "s3://demo/public/a%c3%bc",
        "s3://demo/public/a b",
        "s3://demo/public/a?version=1",
        "s3://demo/public/a#b",
        "s3://demo/public/%",
        "s3://demo/public/%ff",
        "s3://demo/",
        "s3://demo",
        "s3://user@demo/x",
        "S3://demo/x",
        "file:///etc/passwd",
    ] {
        assert!(parse_uri(refused).is_err(), "{refused:?}");
    }
}
