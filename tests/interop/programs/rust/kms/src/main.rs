//! An enclave program whose TLS ends in the enclave: aws-sdk-kms over rustls over vsock.
//!
//!     kms             Decrypt with an attestation document, and open what comes back
//!     kms MISTAKE     one of the four mistakes that everybody makes, and what KMS says of it:
//!                     no-size, no-key-encryption-algorithm, no-public-key, pkcs1
//!
//! CID 3, port 8000 leads to KMS, as AWS's vsock-proxy sets it up on a parent instance.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{env, io};

use aws_credential_types::Credentials;
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_nitro_enclaves_nsm_api::api::{Request, Response};
use aws_nitro_enclaves_nsm_api::driver::{nsm_exit, nsm_init, nsm_process_request};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::http::HttpRequest;
use aws_sdk_kms::config::{BehaviorVersion, Config, Region};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyEncryptionMechanism, RecipientInfo};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_bytes::ByteBuf;
use tokio_vsock::{VsockAddr, VsockStream};
use tower_service::Service;

const PARENT_CID: u32 = 3;
const KMS_PORT: u32 = 8000;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mistake = env::args().nth(1).unwrap_or_default();
    let kms = kms()?;
    let key = PrivateDecryptingKey::generate(KeySize::Rsa2048)?;
    let spki = AsDer::<PublicKeyX509Der>::as_der(&key.public_key())?;

    // A real parent hands the ciphertext over. This program makes its own, to need nobody.
    let made = kms.create_key().send().await?;
    let key_id = made
        .key_metadata()
        .ok_or("no KeyMetadata")?
        .key_id()
        .to_owned();
    let secret = Blob::new("only this enclave reads me");
    let encrypted = kms
        .encrypt()
        .key_id(&key_id)
        .plaintext(secret)
        .send()
        .await?;
    let ciphertext = encrypted
        .ciphertext_blob()
        .ok_or("no CiphertextBlob")?
        .clone();

    let recipient = match mistake.as_str() {
        "no-key-encryption-algorithm" => RecipientInfo::builder()
            .attestation_document(Blob::new(attest(Some(spki.as_ref()))?))
            .build(),
        "no-public-key" => recipient(attest(None)?),
        // Of an RSA key of 2048 bits: SPKI is PKCS#1 after 24 bytes that name the algorithm.
        "pkcs1" => recipient(attest(Some(&spki.as_ref()[24..]))?),
        _ => recipient(attest(Some(spki.as_ref()))?),
    };
    if mistake == "no-size" {
        let request = kms.generate_data_key().key_id(&key_id).recipient(recipient);
        return refused(request.send().await);
    }
    let request = kms
        .decrypt()
        .ciphertext_blob(ciphertext)
        .recipient(recipient);
    if !mistake.is_empty() {
        return refused(request.send().await);
    }
    let answer = request.send().await?;
    println!(
        "plaintext {}",
        answer.plaintext().map_or(0, |blob| blob.as_ref().len())
    );
    let envelope = answer
        .ciphertext_for_recipient()
        .ok_or("no CiphertextForRecipient")?;
    println!(
        "opened {}",
        String::from_utf8(open(envelope.as_ref(), key)?)?
    );
    Ok(())
}

fn kms() -> Outcome<Client> {
    let variable = |name| env::var(name).unwrap_or_else(|_| "any".into());
    let client = Vsock { client: https()? };
    let connector = SharedHttpConnector::new(client);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::from_keys(
            variable("AWS_ACCESS_KEY_ID"),
            variable("AWS_SECRET_ACCESS_KEY"),
            env::var("AWS_SESSION_TOKEN").ok(),
        ))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build();
    Ok(Client::from_conf(config))
}

fn recipient(document: Vec<u8>) -> RecipientInfo {
    RecipientInfo::builder()
        .attestation_document(Blob::new(document))
        .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
        .build()
}

fn attest(public_key: Option<&[u8]>) -> Outcome<Vec<u8>> {
    let nsm = nsm_init();
    let request = Request::Attestation {
        user_data: None,
        nonce: None,
        public_key: public_key.map(ByteBuf::from),
    };
    let response = nsm_process_request(nsm, request);
    nsm_exit(nsm);
    match response {
        Response::Attestation { document } => Ok(document),
        other => Err(format!("Attestation: {other:?}").into()),
    }
}

/// Prints what KMS refused a request with; that it did not is an error.
fn refused<T, E>(answer: Result<T, SdkError<E>>) -> Outcome<()>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match answer {
        Ok(_) => Err("KMS refused nothing".into()),
        Err(SdkError::ServiceError(refusal)) => {
            let error = refusal.err();
            let (code, message) = (error.code(), error.message());
            println!(
                "error {}: {}",
                code.unwrap_or_default(),
                message.unwrap_or_default()
            );
            Ok(())
        }
        Err(other) => Err(other.into()),
    }
}

// ---- CiphertextForRecipient: CMS EnvelopedData in BER, of which DER parsers read nothing ----

/// One value in BER: its tag, its bytes, and its parts if it is constructed.
struct Value<'a> {
    bytes: &'a [u8],
    parts: Vec<Value<'a>>,
}

impl<'a> Value<'a> {
    /// The first value in `input`, and what follows it; None at an end-of-contents or a bad end.
    fn read(input: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (&[tag, first], rest) = input.split_first_chunk::<2>()?;
        if tag == 0 {
            return None;
        }
        let constructed = tag & 0x20 != 0;
        if first == 0x80 {
            let (parts, rest) = Self::read_all(rest);
            return Some((Self { bytes: &[], parts }, rest.strip_prefix(&[0, 0])?));
        }
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                digits
                    .iter()
                    .try_fold(0usize, |n, &d| n.checked_mul(256)?.checked_add(d.into()))?,
                rest,
            )
        };
        let (bytes, rest) = rest.split_at_checked(length)?;
        let parts = if constructed {
            Self::read_all(bytes).0
        } else {
            Vec::new()
        };
        Some((Self { bytes, parts }, rest))
    }

    fn read_all(mut input: &'a [u8]) -> (Vec<Self>, &'a [u8]) {
        let mut parts = Vec::new();
        while let Some((value, rest)) = Self::read(input) {
            parts.push(value);
            input = rest;
        }
        (parts, input)
    }

    fn at(&self, path: &[usize]) -> Option<&Self> {
        path.iter()
            .try_fold(self, |value, &index| value.parts.get(index))
    }

    /// The bytes of a string, which may come in pieces.
    fn string(&self) -> Vec<u8> {
        if self.parts.is_empty() {
            return self.bytes.to_vec();
        }
        self.parts.iter().flat_map(Value::string).collect()
    }
}

fn open(envelope: &[u8], key: PrivateDecryptingKey) -> Outcome<Vec<u8>> {
    let (content_info, _) = Value::read(envelope).ok_or("the envelope is not BER")?;
    let part = |path: &[usize]| {
        let found = content_info
            .at(path)
            .ok_or("the envelope is not EnvelopedData")?;
        Ok::<_, &str>(found.string())
    };
    let encrypted_key = part(&[1, 0, 1, 0, 3])?;
    let iv: [u8; 16] = part(&[1, 0, 2, 1, 1])?
        .try_into()
        .map_err(|_| "the IV is not 16 bytes")?;
    let mut content = part(&[1, 0, 2, 2])?;

    let key = OaepPrivateDecryptingKey::new(key)?;
    let mut room = vec![0; key.min_output_size()];
    let content_key = key.decrypt(&OAEP_SHA256_MGF1SHA256, &encrypted_key, &mut room, None)?;
    let cipher =
        PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, content_key)?)?;
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    Ok(cipher.decrypt(&mut content, context)?.to_vec())
}

// ---- HTTPS over vsock, as the SDK's HTTP client ----

type Https = legacy::Client<HttpsConnector<ToParent>, SdkBody>;

/// The operating system's roots, or those of SSL_CERT_FILE.
fn https() -> io::Result<Https> {
    let connector = HttpsConnectorBuilder::new()
        .with_native_roots()?
        .https_only()
        .enable_http1()
        .wrap_connector(ToParent);
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}

struct Vsock {
    client: Https,
}

impl fmt::Debug for Vsock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Vsock")
    }
}

impl HttpConnector for Vsock {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.client.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x();
            let request = request.map_err(|error| ConnectorError::user(error.into()))?;
            let response = client.request(request).await;
            let response = response.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Connects to the parent, whatever host is asked for: TLS shows who is behind it.
#[derive(Clone)]
struct ToParent;

impl Service<Uri> for ToParent {
    type Response = ParentStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<ParentStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(async {
            let stream = VsockStream::connect(VsockAddr::new(PARENT_CID, KMS_PORT)).await?;
            Ok(ParentStream(TokioIo::new(stream)))
        })
    }
}

struct ParentStream(TokioIo<VsockStream>);

impl Connection for ParentStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for ParentStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for ParentStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
