//! The store as flags say it.

use crate::name::{Bucket, NameError};
use crate::store::Store;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which store, and how much of it one answer carries.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreFlags {
    /// Where objects are
    #[arg(long, value_enum, default_value_t = StoreKind::File, help_heading = "Store")]
    pub store: StoreKind,
    /// With `--store file`: the folder whose sub-folders are the buckets
    #[arg(long, value_name = "DIR", required_if_eq("store", "file"), help_heading = "Store")]
    pub root: Option<PathBuf>,
    /// With `--store s3`: the endpoint; requests are path-style
    #[arg(long, value_name = "URL", required_if_eq("store", "s3"), help_heading = "Store")]
    pub endpoint: Option<String>,
    /// With `--store s3`: the region that requests are signed for
    #[arg(long, value_name = "NAME", default_value = "us-east-1", help_heading = "Store")]
    pub region: String,
    /// With `--store s3`: the file that holds the access key id
    #[arg(long, value_name = "FILE", required_if_eq("store", "s3"), help_heading = "Store")]
    pub access_key_file: Option<PathBuf>,
    /// With `--store s3`: the file that holds the secret access key
    #[arg(long, value_name = "FILE", required_if_eq("store", "s3"), help_heading = "Store")]
    pub secret_key_file: Option<PathBuf>,
    /// With `--store s3`: allow an `http://` endpoint
    #[arg(long, help_heading = "Store")]
    pub allow_http: bool,
    /// The buckets that are served, separated by commas. All of the folder's if not given
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        required_if_eq("store", "s3"),
        help_heading = "Store"
    )]
    pub buckets: Vec<String>,
    /// Most bytes of an object in one answer
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 10, value_parser = clap::value_parser!(u64).range(4..), help_heading = "Limits")]
    pub page_bytes_max: u64,
    /// Most objects in one list
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Limits")]
    pub page_items_max: u32,
}

/// What kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreKind {
    /// A local folder
    File,
    /// An S3 endpoint
    S3,
}

/// Why flags make no store.
#[derive(Debug, thiserror::Error)]
pub enum FlagsError {
    /// A flag that this kind of store needs.
    #[error("--{0} is missing")]
    Missing(&'static str),
    /// A name in `--buckets`.
    #[error("--buckets: {name:?} is no bucket name")]
    Bucket {
        /// The name.
        name: String,
        /// The rule.
        source: NameError,
    },
    /// The root isn't a folder.
    #[error("--root: {path} is not a folder that can be read")]
    Root {
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key's file.
    #[error("--{flag}: {path} can't be read")]
    Secret {
        /// Which flag.
        flag: &'static str,
        /// Where.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The S3 client can't be made.
    #[error("the S3 client can't be made")]
    Client(#[from] object_store::Error),
    /// `http://` without the flag that allows it.
    #[error("--endpoint is not https://; --allow-http would allow that")]
    Http,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// A caller waits meanwhile: better an error soon than an answer in minutes.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 3;

impl Store {
    /// Makes the store that the flags describe. No network is touched.
    ///
    /// # Errors
    /// [`FlagsError`] names the flag.
    pub fn from_flags(flags: &StoreFlags) -> Result<Self, FlagsError> {
        let names: Result<Vec<_>, _> = flags.buckets.iter().map(|name| bucket(name)).collect();
        let names = names?;
        let mut store = match flags.store {
            StoreKind::File => {
                let root = flags.root.as_deref().ok_or(FlagsError::Missing("root"))?;
                Self::folder(canonical(root)?, (!names.is_empty()).then_some(names))
            }
            StoreKind::S3 if names.is_empty() => return Err(FlagsError::Missing("buckets")),
            StoreKind::S3 => {
                let clients: Result<BTreeMap<_, _>, _> =
                    names.into_iter().map(|name| Ok((name.clone(), s3(flags, &name)?))).collect();
                Self::remote(clients.map_err(|e: FlagsError| e)?)
            }
        };
        store.page_bytes_max = flags.page_bytes_max;
        store.page_items_max = flags.page_items_max as usize;
        Ok(store)
    }
}

fn bucket(name: &str) -> Result<Bucket, FlagsError> {
    Bucket::parse(name).map_err(|source| FlagsError::Bucket { name: name.to_owned(), source })
}

fn canonical(root: &Path) -> Result<PathBuf, FlagsError> {
    let wrong = |source| FlagsError::Root { path: root.display().to_string(), source };
    let root = std::fs::canonicalize(root).map_err(wrong)?;
    std::fs::read_dir(&root).map_err(wrong)?;
    Ok(root)
}

fn s3(flags: &StoreFlags, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, FlagsError> {
    let endpoint = flags.endpoint.as_deref().ok_or(FlagsError::Missing("endpoint"))?;
    if !flags.allow_http && !endpoint.starts_with("https://") {
        return Err(FlagsError::Http);
    }
    let client = ClientOptions::new()
        .with_allow_http(flags.allow_http)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT);
    // Both keys are given, so that the client never goes and looks for others (environment, instance metadata).
    let store = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_region(&flags.region)
        .with_bucket_name(bucket.as_str())
        .with_access_key_id(secret("access-key-file", flags.access_key_file.as_deref())?)
        .with_secret_access_key(secret("secret-key-file", flags.secret_key_file.as_deref())?)
        .with_virtual_hosted_style_request(false)
        .with_client_options(client)
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
        })
        .build()?;
    Ok(Arc::new(store))
}

fn secret(flag: &'static str, path: Option<&Path>) -> Result<String, FlagsError> {
    let path = path.ok_or(FlagsError::Missing(flag))?;
    let text = std::fs::read_to_string(path).map_err(|source| FlagsError::Secret {
        flag,
        path: path.display().to_string(),
        source,
    })?;
    Ok(text.trim().to_owned())
}
