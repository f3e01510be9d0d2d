//! Errors in words. Nothing that a file contains is in them, except names of contexts, clusters and other files.
//!
//! Errors of the kube crate whose text is known keep it. Others may quote anything: they are only named.

use std::{error::Error, fmt, iter::successors};

use http::{HeaderValue, Uri};
use kube::{
    client::{AuthError, RustlsTlsError},
    config::{AuthInfo, KubeconfigError, LoadDataError},
};

/// Why such a server cannot be used.
pub(crate) const NO_SCHEME: &str = "server has neither https:// nor http:// before the address";

/// What is wrong with a token that is no header.
pub(crate) const NO_HEADER: &str =
    "the token has a line break, or another character that a header cannot have";

/// Whether the token, if there is one, can be sent.
pub(crate) fn is_header(user: &AuthInfo) -> bool {
    // kube gives the token away only like this.
    let Ok(user) = serde_json::to_value(user) else {
        return false;
    };
    let token = user.get("token").and_then(|token| token.as_str());
    token.is_none_or(|token| HeaderValue::from_str(token).is_ok())
}

/// What is wrong with the content of a kubeconfig.
pub(crate) fn of_file(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|at| {
                let (line, column) = (at.line(), at.column());
                format!(" at line {line}, column {column}")
            });
            format!(
                "not a kubeconfig{} (the text is not shown: it may have credentials)",
                place.unwrap_or_default()
            )
        }
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::CurrentContextNotSet => "no current-context".to_owned(),
        KubeconfigError::LoadContext(name) => format!("no context {name:?}"),
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("no cluster {name:?}, which the context names")
        }
        KubeconfigError::MissingClusterUrl => "the cluster has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(error) => format!("server is no URL: {error}"),
        KubeconfigError::ParseProxyUrl(error) => format!("proxy-url is no URL: {error}"),
        KubeconfigError::LoadCertificateAuthority(error) => of_data("certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => of_data("client-certificate", error),
        KubeconfigError::LoadClientKey(error) => of_data("client-key", error),
        KubeconfigError::ParseCertificates(_) => {
            "certificate-authority has no certificate in PEM".to_owned()
        }
        // Of several files.
        KubeconfigError::KindMismatch
        | KubeconfigError::ApiVersionMismatch
        | KubeconfigError::FindPath => error.to_string(),
    }
}

/// The name of an error, which is how its `Debug` begins.
fn name(error: &impl fmt::Debug) -> String {
    let text = format!("{error:?}");
    let name = text.chars().take_while(char::is_ascii_alphanumeric);
    name.collect()
}

/// What is wrong with a field that has a file, or content as `NAME-data`.
fn of_data(field: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => format!("{field}-data is not base64"),
        LoadDataError::ReadFile(error, path) => format!("{field} {}: {error}", path.display()),
        LoadDataError::NoBase64DataOrFile => format!("no {field}, although there is its pair"),
    }
}

/// An error with its causes, each once.
#[must_use]
pub fn text(error: &kube::Error) -> String {
    match error {
        kube::Error::InferKubeconfig(error) => of_file(error),
        kube::Error::ProxyProtocolUnsupported { proxy_url }
        | kube::Error::ProxyProtocolDisabled { proxy_url, .. } => {
            format!("the proxy {} is not supported", server(proxy_url))
        }
        // These only say that it is an error of the layer below.
        kube::Error::Service(error) => with_causes(&**error),
        kube::Error::HyperError(error) => with_causes(error),
        kube::Error::Auth(error) => with_causes(error),
        kube::Error::RustlsTls(error) => with_causes(error),
        // What the API answers.
        kube::Error::Api(_)
        | kube::Error::BuildRequest(_)
        | kube::Error::FromUtf8(_)
        | kube::Error::HttpError(_)
        | kube::Error::LinesCodecMaxLineLengthExceeded
        | kube::Error::ReadEvents(_)
        | kube::Error::SerdeError(_)
        | kube::Error::TlsRequired => with_causes(error),
        other => format!("the client failed ({})", name(other)),
    }
}

/// A server without user and password, which a URL may have.
#[must_use]
pub fn server(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    let path = url.path().trim_end_matches('/');
    format!("{scheme}://{host}{}{path}", port.unwrap_or_default())
}

fn with_causes(error: &(dyn Error + 'static)) -> String {
    let chain = || {
        successors(Some(error), |error| {
            let error: &(dyn Error + 'static) = *error;
            error.source()
        })
    };
    // What surrounds such an error may quote it.
    if let Some(text) = chain().find_map(without_secrets) {
        return text;
    }
    let mut texts: Vec<String> = Vec::new();
    for text in chain().map(ToString::to_string) {
        // Many errors have their cause in their own text, too.
        let own = |last: &String| last.strip_suffix(&*text).map(str::to_owned);
        if let Some(own) = texts.last().and_then(own) {
            texts.pop();
            texts.push(own.trim_end_matches([':', ' ']).to_owned());
        }
        texts.push(text);
    }
    texts.retain(|text| !text.is_empty());
    texts.join(": ")
}

/// The text of an error that quotes credentials, without them.
fn without_secrets(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<AuthError>() {
        return Some(of_credentials(error));
    }
    if let Some(error) = error.downcast_ref::<KubeconfigError>() {
        return Some(of_file(error));
    }
    match error.downcast_ref::<RustlsTlsError>()? {
        RustlsTlsError::InvalidIdentityPem(_) => {
            Some("client-certificate or client-key is not PEM".to_owned())
        }
        RustlsTlsError::MissingPrivateKey
        | RustlsTlsError::MissingCertificate
        | RustlsTlsError::InvalidPrivateKey(_)
        | RustlsTlsError::UnknownPrivateKeyFormat
        | RustlsTlsError::AddRootCertificate(_)
        | RustlsTlsError::NoValidNativeRootCA(_)
        | RustlsTlsError::InvalidServerName(_) => None,
    }
}

fn of_credentials(error: &AuthError) -> String {
    match error {
        AuthError::InvalidBasicAuth(_) => {
            "username or password has a character that a header cannot have".to_owned()
        }
        AuthError::InvalidBearerToken(_) => NO_HEADER.to_owned(),
        AuthError::MalformedTokenExpirationDate(_) => {
            "the token expires at something that is no date".to_owned()
        }
        AuthError::AuthExecRun { out, .. } => {
            format!("the credential plug-in ended with {}", out.status)
        }
        AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
            "the credential plug-in wrote no credentials".to_owned()
        }
        AuthError::ReadTokenFile(error, path) => format!("tokenFile {}: {error}", path.display()),
        AuthError::AuthExecStart(_)
        | AuthError::ExecMissingClusterInfo
        | AuthError::ExecPluginFailed
        | AuthError::MissingCommand
        | AuthError::NoValidNativeRootCA(_)
        | AuthError::UnrefreshableTokenResponse => error.to_string(),
        _ => format!("the credentials cannot be used ({})", name(error)),
    }
}
