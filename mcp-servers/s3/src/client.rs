//! The client of a store, with nothing but what the flags say: no environment, no metadata service.

use crate::careful::Careful;
use crate::credential::Files;
use crate::flags::{FlagsError, StoreFlags, StoreKind};
use crate::name::Bucket;
use crate::signed::Signed;
use object_store::aws::{AmazonS3Builder, AwsCredential, Checksum};
use object_store::azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A caller waits meanwhile: better an error soon than an answer in minutes.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);
const RETRIES_MAX: usize = 3;

/// The client of a bucket, and what signs requests that it has no words for.
///
/// # Errors
/// [`FlagsError`] names the flag.
pub(crate) fn made(
    flags: &StoreFlags,
    kind: StoreKind,
    bucket: &Bucket,
) -> Result<(Arc<dyn ObjectStore>, Option<Signed>), FlagsError> {
    if let Some(endpoint) = &flags.endpoint {
        let plain = flags.allow_http && endpoint.starts_with("http://");
        if !plain && !endpoint.starts_with("https://") {
            return Err(FlagsError::Http);
        }
    }
    match kind {
        StoreKind::S3 => s3(flags, bucket),
        StoreKind::Google => Ok((google(flags, bucket)?, None)),
        StoreKind::Azure => Ok((azure(flags, bucket)?, None)),
    }
}

fn s3(flags: &StoreFlags, bucket: &Bucket) -> Result<(Arc<dyn ObjectStore>, Option<Signed>), FlagsError> {
    let (key, secret) = (
        named("access-key-file", flags.access_key_file.as_ref())?,
        named("secret-key-file", flags.secret_key_file.as_ref())?,
    );
    let mut files = vec![key, secret];
    files.extend(flags.session_token_file.as_deref().map(|path| ("session-token-file", path)));
    let credentials = Arc::new(Files::open(&files, aws_credential)?);
    let endpoint = flags.endpoint.as_deref().map(|endpoint| endpoint.trim_end_matches('/'));
    let mut builder = AmazonS3Builder::new()
        .with_region(&flags.region)
        .with_bucket_name(bucket.as_str())
        .with_credentials(Arc::<Files<AwsCredential>>::clone(&credentials))
        .with_virtual_hosted_style_request(false)
        .with_checksum_algorithm(Checksum::SHA256)
        // One object at a time: stores that speak S3 have this more often than the request for many.
        .with_disable_bulk_delete(true)
        .with_client_options(options(flags)?)
        .with_http_connector(Careful)
        .with_retry(retry());
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let amazon = format!("https://s3.{}.amazonaws.com", flags.region);
    let base = format!("{}/{bucket}", endpoint.unwrap_or(&amazon));
    let signed = Signed::new(&options(flags)?, credentials, base, flags.region.clone())?;
    Ok((Arc::new(builder.build()?), Some(signed)))
}

fn aws_credential(texts: &[String]) -> Option<AwsCredential> {
    let [key_id, secret_key, token @ ..] = texts else { return None };
    let plain = |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    texts.iter().all(plain).then(|| AwsCredential {
        key_id: key_id.clone(),
        secret_key: secret_key.clone(),
        token: token.first().cloned(),
    })
}

fn google(flags: &StoreFlags, bucket: &Bucket) -> Result<Arc<dyn ObjectStore>, FlagsError> {
    let (flag, path) = named("service-account-file", flags.service_account_file.as_ref())?;
    let wrong = |source| FlagsError::Secret { flag, path: path.display().to_string(), source };
    let account = std::fs::read_to_string(path).map_err(wrong)?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket.as_str())
        .with_service_account_key(account)
        .with_client_options(options(flags)?)
        .with_http_connector(Careful)
        .with_retry(retry());
    if let Some(endpoint) = &flags.endpoint {
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(flags: &StoreFlags, container: &Bucket) -> Result<Arc<dyn ObjectStore>, FlagsError> {
    let account = flags.account.as_deref().ok_or(FlagsError::Missing("account"))?;
    // It becomes part of a host's name.
    if !(3..=24).contains(&account.len())
        || !account.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return Err(FlagsError::Unfit { flag: "account" });
    }
    let credentials = match &flags.account_key_file {
        Some(path) => Files::open(&[("account-key-file", path)], |texts| {
            let key = AzureAccessKey::try_new(texts.first()?).ok()?;
            Some(AzureCredential::AccessKey(key))
        })?,
        None => Files::open(&[named("sas-file", flags.sas_file.as_ref())?], |texts| {
            let text = texts.first()?.trim_start_matches('?');
            let pairs: Option<Vec<_>> = text
                .split('&')
                .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), decoded(value))))
                .collect();
            pairs.map(AzureCredential::SASToken)
        })?,
    };
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(container.as_str())
        .with_credentials(Arc::new(credentials))
        .with_client_options(options(flags)?)
        .with_http_connector(Careful)
        .with_retry(retry());
    if let Some(endpoint) = &flags.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    Ok(Arc::new(builder.build()?))
}

/// A value of a query as it means.
fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}

fn named<'a>(flag: &'static str, path: Option<&'a PathBuf>) -> Result<(&'static str, &'a Path), FlagsError> {
    path.map(|path| (flag, path.as_path())).ok_or(FlagsError::Missing(flag))
}

fn options(flags: &StoreFlags) -> Result<ClientOptions, FlagsError> {
    let mut options = ClientOptions::new()
        .with_allow_http(flags.allow_http)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(Duration::from_millis(flags.store_timeout_ms));
    if let Some(path) = &flags.store_ca {
        let flag = "store-ca";
        let wrong = |source| FlagsError::Secret { flag, path: path.display().to_string(), source };
        let pem = std::fs::read(path).map_err(wrong)?;
        let all = Certificate::from_pem_bundle(&pem).map_err(|_| FlagsError::Unfit { flag })?;
        if all.is_empty() {
            return Err(FlagsError::Unfit { flag });
        }
        for certificate in all {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn retry() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT }
}
