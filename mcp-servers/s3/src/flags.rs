//! The store as flags say it.

use crate::client;
use crate::fence::{self, Fence};
use crate::name::{Bucket, NameError};
use crate::store::{Limits, Remote, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which store, and how much of it one answer carries.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreFlags {
    /// Where objects are: `file` with `--root`, or the URLs of buckets, separated by commas, each with a prefix if only what
    /// is below that may be touched: s3://models, gs://models/team-a, az://container/reports
    #[arg(
        long,
        value_name = "URLS",
        value_delimiter = ',',
        default_value = "file",
        value_parser = place,
        help_heading = "Store"
    )]
    pub store: Vec<StoreUrl>,
    /// With `--store file`: the folder whose sub-folders are the buckets
    #[arg(long, value_name = "DIR", help_heading = "Store")]
    pub root: Option<PathBuf>,
    /// With `--store file`: the buckets that are served, separated by commas, each with a prefix if only what is below that
    /// may be touched: demo, demo/public. All of the folder's if not given
    #[arg(long, value_name = "BUCKET[/PREFIX]", value_delimiter = ',', value_parser = fence::served, help_heading = "Store")]
    pub buckets: Vec<(Bucket, Fence)>,
    /// The store's endpoint, where it is not the one of Amazon, Google or Microsoft; requests are path-style
    #[arg(long, value_name = "URL", help_heading = "Store")]
    pub endpoint: Option<String>,
    /// With s3://: the region that requests are signed for
    #[arg(long, value_name = "NAME", default_value = "us-east-1", help_heading = "Store")]
    pub region: String,
    /// With s3://: the file that holds the access key id. Files of credentials are read again when they change
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub access_key_file: Option<PathBuf>,
    /// With s3://: the file that holds the secret access key
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub secret_key_file: Option<PathBuf>,
    /// With s3://: the file that holds the session token of a key that ends
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub session_token_file: Option<PathBuf>,
    /// With gs://: the service account's key file (JSON). Read at the start
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub service_account_file: Option<PathBuf>,
    /// With az://: the storage account
    #[arg(long, value_name = "NAME", help_heading = "Store")]
    pub account: Option<String>,
    /// With az://: the file that holds a shared access signature, which can be of one container and of reading alone
    #[arg(long, value_name = "FILE", conflicts_with = "account_key_file", help_heading = "Store")]
    pub sas_file: Option<PathBuf>,
    /// With az://: the file that holds the account's key, which opens all of the account
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub account_key_file: Option<PathBuf>,
    /// Certificates that vouch for the store (PEM), beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Store")]
    pub store_ca: Option<PathBuf>,
    /// Allow an `http://` endpoint
    #[arg(long, help_heading = "Store")]
    pub allow_http: bool,
    /// Time for one answer of the store
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    pub store_timeout_ms: u64,
    /// Most bytes of an object in one answer
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10, value_parser = clap::value_parser!(u64).range(4..), help_heading = "Limits")]
    pub page_bytes_max: u64,
    /// Most objects in one list
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub page_items_max: u32,
    /// Most bytes of an object that are read for one preview of a table
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, value_parser = clap::value_parser!(u64).range(1024..), help_heading = "Limits")]
    pub table_bytes_max: u64,
    /// Longest object that is written in several calls, or copied through this server
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Limits")]
    pub upload_bytes_max: u64,
    /// Part of an object that is written in parts; S3 takes none below 5 MiB
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20, value_parser = clap::value_parser!(u64).range(5 << 20..=1 << 30), help_heading = "Limits")]
    pub part_bytes: u64,
    /// Uploads in several calls that are open at a time, each with a part in memory
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    pub uploads_max: u32,
    /// Of them, those of one person by one agent
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Limits")]
    pub uploads_of_one_max: u32,
    /// How long an upload stays open without a call
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Limits")]
    pub upload_idle_seconds: u64,
}

/// Where objects are, as one `--store` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `file`: the folder of `--root`.
    File,
    /// A bucket elsewhere.
    Bucket(StoreKind, Bucket, Fence),
}

/// Whose protocol a store speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Amazon S3's: `s3://`.
    S3,
    /// Google Cloud Storage's: `gs://`.
    Google,
    /// Azure Blob Storage's: `az://`.
    Azure,
}

/// Why flags make no store.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// A flag that this kind of store needs.
    #[error("--{0} is missing")]
    Missing(&'static str),
    /// Stores of two kinds.
    #[error("--store: `file`, s3://, gs:// and az:// don't go together; start a server for each")]
    Mixed,
    /// A flag that has no meaning with this store.
    #[error("--{0} doesn't go with this --store")]
    Foreign(&'static str),
    /// The root isn't a folder.
    #[error("--root: {path} is not a folder that can be read")]
    Root {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A credential's file.
    #[error("--{flag}: {path} can't be read")]
    Secret {
        /// Which flag.
        flag: &'static str,
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is in a credential's file.
    #[error("--{flag}: the file doesn't hold what it should")]
    Unfit {
        /// Which flag.
        flag: &'static str,
    },
    /// The client of the store can't be made.
    #[error("the client of the store can't be made")]
    Client(#[from] object_store::Error),
    /// `http://` without the flag that allows it.
    #[error("--endpoint is not https://; --allow-http would allow that")]
    Http,
}

/// Reads one `--store`.
fn place(text: &str) -> Result<StoreUrl, String> {
    if text == "file" {
        return Ok(StoreUrl::File);
    }
    let kinds = [("s3://", StoreKind::S3), ("gs://", StoreKind::Google), ("az://", StoreKind::Azure)];
    let found = kinds.iter().find_map(|(scheme, kind)| Some((*kind, text.strip_prefix(scheme)?)));
    let (kind, rest) = found.ok_or("it is `file`, or begins with s3://, gs:// or az:// and a bucket")?;
    let (bucket, fence) = fence::served(rest).map_err(|error: NameError| error.to_string())?;
    Ok(StoreUrl::Bucket(kind, bucket, fence))
}

impl Store {
    /// Makes the store that the flags describe. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub fn from_flags(flags: &StoreFlags) -> Result<Self, FlagsError> {
        let limits = Limits {
            page_bytes_max: flags.page_bytes_max,
            page_items_max: flags.page_items_max as usize,
            table_bytes_max: flags.table_bytes_max,
            upload_bytes_max: flags.upload_bytes_max,
            part_bytes: usize::try_from(flags.part_bytes).unwrap_or(usize::MAX),
            uploads_max: flags.uploads_max as usize,
            uploads_of_one_max: flags.uploads_of_one_max as usize,
            upload_idle: Duration::from_secs(flags.upload_idle_seconds),
        };
        let mut remote = BTreeMap::new();
        for store in &flags.store {
            match store {
                StoreUrl::Bucket(kind, bucket, fence) => {
                    let (_, fences) = remote.entry(bucket.clone()).or_insert((*kind, None::<Fence>));
                    *fences =
                        Some(fences.take().map_or_else(|| fence.clone(), |known| known.or(fence.clone())));
                }
                StoreUrl::File if flags.store.len() > 1 => return Err(FlagsError::Mixed),
                StoreUrl::File => {}
            }
        }
        let Some(kind) = remote.values().next().map(|(kind, _)| *kind) else {
            return Ok(Self::folder(root(flags)?, fences(&flags.buckets), limits)?);
        };
        // One bucket by two protocols would be two buckets of one name.
        let kinds =
            flags.store.iter().any(|store| !matches!(store, StoreUrl::Bucket(other, ..) if *other == kind));
        if kinds {
            return Err(FlagsError::Mixed);
        }
        if flags.root.is_some() {
            return Err(FlagsError::Foreign("root"));
        }
        if !flags.buckets.is_empty() {
            return Err(FlagsError::Foreign("buckets"));
        }
        let clients: Result<BTreeMap<_, _>, FlagsError> = remote
            .into_iter()
            .map(|(bucket, (_, fence))| {
                let fence = fence.unwrap_or_else(Fence::everything);
                let (client, signed) = client::made(flags, kind, &bucket)?;
                Ok((bucket, Remote { client, fence, kind, signed }))
            })
            .collect();
        Ok(Self::remote(clients?, limits))
    }
}

/// The buckets of a folder that are served, if not all.
fn fences(buckets: &[(Bucket, Fence)]) -> Option<BTreeMap<Bucket, Fence>> {
    let mut served: BTreeMap<Bucket, Fence> = BTreeMap::new();
    for (bucket, fence) in buckets {
        let both = served.remove(bucket).map_or_else(|| fence.clone(), |known| known.or(fence.clone()));
        served.insert(bucket.clone(), both);
    }
    (!served.is_empty()).then_some(served)
}

fn root(flags: &StoreFlags) -> Result<PathBuf, FlagsError> {
    let root: &Path = flags.root.as_deref().ok_or(FlagsError::Missing("root"))?;
    let wrong = |source| FlagsError::Root { path: root.display().to_string(), source };
    let root = std::fs::canonicalize(root).map_err(wrong)?;
    std::fs::read_dir(&root).map_err(wrong)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        store: StoreFlags,
    }

    fn made(arguments: &[&str]) -> Result<Store, String> {
        certs::install_crypto();
        let all = std::iter::once("test").chain(arguments.iter().copied());
        let command = Command::try_parse_from(all).map_err(|e| e.to_string())?;
        Store::from_flags(&command.store).map_err(|e| e.to_string())
    }

    #[test]
    fn a_store_is_a_folder_or_buckets_of_one_kind() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (key, root) = (file("key", "AAAA"), dir.path().display().to_string());
        let sas = file("sas", "sv=2024-01-01&sr=c&sig=AAAA");
        let account = file(
            "account",
            r#"{"private_key":"","private_key_id":"","client_email":"","disable_oauth":true}"#,
        );
        let keys = ["--access-key-file", &key, "--secret-key-file", &key];
        for right in [
            vec!["--root", &root],
            vec!["--store", "file", "--root", &root, "--buckets", "demo,demo/public"],
            [&["--store", "s3://models,s3://data/team-a"][..], &keys].concat(),
            [&["--store", "s3://models/a,s3://models/b", "--endpoint", "https://s3.example.org/"][..], &keys]
                .concat(),
            [&["--store", "s3://models", "--endpoint", "http://127.0.0.1:1", "--allow-http"][..], &keys]
                .concat(),
            vec!["--store", "gs://models/a", "--service-account-file", &account],
            vec!["--store", "az://models", "--account", "acc", "--sas-file", &sas],
            vec!["--store", "az://models", "--account", "acc", "--account-key-file", &key],
        ] {
            let store = made(&right).unwrap_or_else(|e| panic!("{right:?}: {e}"));
            assert!(store.buckets().is_ok(), "{right:?}");
        }
        for (wrong, why) in [
            (vec![], "--root is missing"),
            (vec!["--root", "/nowhere/at/all"], "not a folder"),
            (vec!["--store", "s3://models"], "--access-key-file is missing"),
            (vec!["--store", "s3://models", "--access-key-file", &key], "--secret-key-file is missing"),
            (
                vec!["--store", "s3://models", "--access-key-file", "/nowhere", "--secret-key-file", &key],
                "can't be read",
            ),
            (vec!["--store", "s3"], "begins with"),
            (vec!["--store", "s3:/models"], "begins with"),
            (vec!["--store", "ftp://models"], "begins with"),
            (vec!["--store", "s3://"], "bucket name"),
            (vec!["--store", "s3://Models"], "bucket name"),
            (vec!["--store", "s3://user:secret@models"], "bucket name"),
            (vec!["--store", "s3://models/../other"], "no segments"),
            (vec!["--store", "s3://models?x=y"], "bucket name"),
            (vec!["--store", "s3://models,gs://models"], "don't go together"),
            (vec!["--store", "file,s3://models", "--root", &root], "don't go together"),
            ([&["--store", "s3://models", "--root", &root][..], &keys].concat(), "--root doesn't go"),
            ([&["--store", "s3://models", "--buckets", "demo"][..], &keys].concat(), "--buckets doesn't go"),
            ([&["--store", "s3://models", "--endpoint", "http://h"][..], &keys].concat(), "not https://"),
            (
                [&["--store", "s3://models", "--endpoint", "ftp://h", "--allow-http"][..], &keys].concat(),
                "not https://",
            ),
            ([&["--store", "s3://models", "--store-ca", &key][..], &keys].concat(), "--store-ca"),
            (vec!["--root", &root, "--buckets", "demo/../x"], "no segments"),
            (vec!["--store", "gs://models"], "--service-account-file is missing"),
            (vec!["--store", "az://models", "--sas-file", &sas], "--account is missing"),
            (vec!["--store", "az://models", "--account", "acc"], "--sas-file is missing"),
            (vec!["--store", "az://models", "--account", "a/b", "--sas-file", &sas], "--account"),
            (vec!["--root", &root, "--part-bytes", "1000"], "part-bytes"),
        ] {
            let said = made(&wrong).unwrap_err();
            assert!(said.contains(why), "{wrong:?}: {said}");
        }
    }
}
