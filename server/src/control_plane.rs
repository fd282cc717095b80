//! How a worker reaches a control plane, and how one without master keys has credentials opened: it asks for the data key
//! of one value at a time, in the name of a turn that it runs. Nothing that it is given opens anything else.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::egress::{EgressQuota, EgressRequest, Gateway, GatewayConfig, PrivateTarget};
use everwit_runtime::engine::{Next, Step, StepError, StepHandler, TurnKey};
use everwit_runtime::id::{OrgId, SessionId, TurnId};
use everwit_runtime::secret::{DataKey, DataKeys, Place, SecretError, WrappedKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::{Host, Url};
use uuid::Uuid;

/// Path of the endpoint.
pub(crate) const DATA_KEYS: &str = "/internal/data-keys";
/// Characters of a token.
const TOKEN_CHARACTERS: std::ops::RangeInclusive<usize> = 32..=256;
/// Time for one question.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often a control plane is asked that does not answer; one that is started again takes about a second.
const TRIES: usize = 5;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 16 << 10;

/// What workers and control planes know each other by.
#[derive(Debug, Clone)]
pub struct WorkerToken(pub(crate) SecretString);

impl WorkerToken {
    /// The token that a text is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: SecretString) -> Result<Self, String> {
        let shown = text.expose_secret();
        if !TOKEN_CHARACTERS.contains(&shown.len()) || !shown.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (least, most) = TOKEN_CHARACTERS.into_inner();
            return Err(format!("the token has {least} to {most} printable ASCII characters; make one with: openssl rand -hex 32"));
        }
        Ok(Self(text))
    }
}

/// Where a worker asks.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    url: Url,
    token: WorkerToken,
}

impl ControlPlane {
    /// A control plane at a URL. Keys must not travel in the clear: plain http is for this machine, and for private targets.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(url: Url, token: WorkerToken, private_targets: &[PrivateTarget]) -> Result<Self, String> {
        let place = match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => return Err(format!("{url} is no http or https URL")),
        };
        let is_private = || place.parse().is_ok_and(|target| private_targets.contains(&target));
        match url.scheme() {
            "https" => {}
            "http" if is_local(&url) || is_private() => {}
            "http" => {
                return Err(format!(
                    "{url} would send keys in the clear; use https or, within a network of your own, --allow-private-target {place}"
                ));
            }
            _ => return Err(format!("{url} is no http or https URL")),
        }
        Ok(Self { url, token })
    }
}

/// Whether a URL stays on this machine.
pub(crate) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The turns that run in this process.
#[derive(Debug, Default)]
pub(crate) struct HeldTurns {
    by_org: Mutex<HashMap<OrgId, Vec<HeldTurn>>>,
}

impl HeldTurns {
    fn lock(&self) -> MutexGuard<'_, HashMap<OrgId, Vec<HeldTurn>>> {
        self.by_org.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest one of an org.
    fn of(&self, org: OrgId) -> Option<HeldTurn> {
        self.lock().get(&org)?.last().copied()
    }
}

/// Runs turns, and keeps in mind which.
pub(crate) struct Holding<H> {
    pub(crate) handler: H,
    pub(crate) turns: Arc<HeldTurns>,
}

/// Ends with the step, also if that is dropped.
struct Hold<'a> {
    turns: &'a HeldTurns,
    org: OrgId,
    turn: HeldTurn,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let mut by_org = self.turns.lock();
        if let Some(turns) = by_org.get_mut(&self.org) {
            turns.retain(|turn| *turn != self.turn);
            if turns.is_empty() {
                by_org.remove(&self.org);
            }
        }
    }
}

#[async_trait]
impl<H: StepHandler> StepHandler for Holding<H> {
    async fn step(&self, step: Step) -> Result<Next, StepError> {
        let TurnKey { org, session, turn } = step.key;
        let turn = HeldTurn { session_id: session, turn_id: turn, fence: step.claim.fence.0 };
        self.turns.lock().entry(org).or_default().push(turn);
        let _hold = Hold { turns: &self.turns, org, turn };
        self.handler.step(step).await
    }

    async fn idle(&self, org: OrgId, session: SessionId) -> Result<Next, everwit_runtime::Error> {
        self.handler.idle(org, session).await
    }
}

/// A turn that a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldTurn {
    pub(crate) session_id: SessionId,
    pub(crate) turn_id: TurnId,
    /// Fence of the worker's claim.
    pub(crate) fence: u64,
}

/// What a worker asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// Org of the turn, and of the value.
    pub(crate) organization_id: OrgId,
    pub(crate) turn: HeldTurn,
    /// Place of the value.
    pub(crate) field: String,
    pub(crate) row: Uuid,
    /// The data key to unwrap; none asks for a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wrapped: Option<WrappedKey>,
}

/// What it is told.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Given {
    /// The data key, in base64.
    pub(crate) data_key: String,
    /// As it is stored.
    pub(crate) wrapped: WrappedKey,
}

/// A way to a control plane, and to nowhere else.
pub(crate) struct PlaneClient {
    url: Url,
    token: WorkerToken,
    gateway: Gateway,
    grant: Grant,
}

/// What a control plane did not do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaneError {
    /// It says no, and why.
    #[error("{status}: {detail}")]
    Refused { status: u16, detail: String },
    /// It does not answer, or cannot right now.
    #[error("{0}")]
    Unavailable(String),
}

impl fmt::Debug for PlaneClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlaneClient").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl PlaneClient {
    /// # Errors
    /// If the URL has no host that can be reached, or there are no roots of trust.
    pub(crate) fn new(control_plane: &ControlPlane) -> Result<Self, everwit_runtime::Error> {
        let ControlPlane { url, token } = control_plane.clone();
        let wrong = |what: String| everwit_runtime::Error::Invalid(format!("the control plane {url}: {what}"));
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
        let place = format!("{host}:{port}");
        let target = place.parse().map_err(|error| wrong(format!("{error}")))?;
        // Whoever names it means it, be it in an own network or not; no other place can be reached.
        let gateway = Gateway::new(GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() })?;
        let permission = HttpPermission { host: place, methods: vec!["POST".into()], path_prefix: None, reason: String::new() };
        Ok(Self { url, token, gateway, grant: Grant { http: vec![permission], ..Grant::default() } })
    }

    /// Posts once.
    ///
    /// # Errors
    /// That it was refused, cannot be understood, or did not arrive.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, PlaneError> {
        let refused = |status, detail: String| PlaneError::Refused { status, detail };
        let endpoint = self.url.join(path).map_err(|error| refused(0, error.to_string()))?;
        let body = serde_json::to_vec(body).map_err(|error| refused(0, error.to_string()))?;
        match self.send(&endpoint, body).await {
            Ok((200, answer)) => serde_json::from_slice(&answer)
                .map_err(|_| refused(200, "the control plane's answer cannot be read; is it of this version?".to_owned())),
            Ok((status, _)) if status >= 500 || status == 429 => Err(PlaneError::Unavailable(format!("{endpoint} answers {status}"))),
            Ok((status, answer)) => {
                let problem: serde_json::Value = serde_json::from_slice(&answer).unwrap_or_default();
                Err(refused(status, problem["detail"].as_str().unwrap_or_default().to_owned()))
            }
            Err(error) => Err(PlaneError::Unavailable(format!("{endpoint}: {error}"))),
        }
    }

    async fn send(&self, endpoint: &Url, body: Vec<u8>) -> Result<(u16, Vec<u8>), everwit_runtime::egress::EgressError> {
        let headers =
            [("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {}", self.token.0.expose_secret()))];
        let request = EgressRequest {
            method: "POST".into(),
            url: endpoint.to_string(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: body.into(),
            timeout: Some(TIMEOUT),
            ..Default::default()
        };
        let mut quota = EgressQuota::new(1, 2 * MAX_ANSWER_BYTES, Instant::now() + TIMEOUT);
        let mut response = self.gateway.send("control-plane", &self.grant, request, &mut quota).await?;
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk(MAX_ANSWER_BYTES as usize).await? {
            answer.extend_from_slice(&piece);
        }
        Ok((response.status(), answer))
    }
}

/// Data keys of a control plane.
#[derive(Debug)]
pub(crate) struct RemoteKeys {
    plane: Arc<PlaneClient>,
    turns: Arc<HeldTurns>,
}

impl RemoteKeys {
    /// Those of a control plane, for the turns that are held.
    pub(crate) fn new(plane: Arc<PlaneClient>, turns: Arc<HeldTurns>) -> Self {
        Self { plane, turns }
    }

    async fn ask(&self, wrapped: Option<&WrappedKey>, place: &Place<'_>) -> Result<(DataKey, WrappedKey), SecretError> {
        let turn = self.turns.of(place.org).ok_or_else(|| SecretError::Refused(format!("no turn of {} runs here", place.org)))?;
        let (field, row) = (place.field.to_owned(), place.row);
        let question = Question { organization_id: place.org, turn, field, row, wrapped: wrapped.cloned() };
        let mut last = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            match self.plane.post(DATA_KEYS, &question).await {
                Ok(Given { data_key, wrapped }) => {
                    let data_key = DataKey::from_text(&data_key.into());
                    let data_key = data_key.ok_or_else(|| SecretError::Refused("the control plane's key cannot be read".to_owned()))?;
                    return Ok((data_key, wrapped));
                }
                Err(PlaneError::Unavailable(why)) => last = why,
                Err(refused) => return Err(SecretError::Refused(refused.to_string())),
            }
        }
        Err(SecretError::Unavailable(last))
    }
}

#[async_trait]
impl DataKeys for RemoteKeys {
    async fn make(&self, place: &Place<'_>) -> Result<(DataKey, WrappedKey), SecretError> {
        self.ask(None, place).await
    }

    async fn unwrap(&self, wrapped: &WrappedKey, place: &Place<'_>) -> Result<DataKey, SecretError> {
        Ok(self.ask(Some(wrapped), place).await?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control_plane(url: &str, private: &[&str]) -> Result<ControlPlane, String> {
        let private: Vec<PrivateTarget> = private.iter().map(|target| target.parse().expect("a target")).collect();
        let token = WorkerToken::new("0123456789abcdef0123456789abcdef".into()).expect("a token");
        ControlPlane::new(url.parse().expect("a URL"), token, &private)
    }

    #[test]
    fn keys_never_travel_in_the_clear_unless_somebody_says_so() {
        for url in ["https://plane.example", "http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert!(control_plane(url, &[]).is_ok(), "{url}");
        }
        let refused = control_plane("http://plane:8080", &["other:8080"]).expect_err("it is another machine");
        assert!(refused.contains("--allow-private-target plane:8080"), "{refused}");
        assert!(control_plane("http://plane:8080", &["plane:8080"]).is_ok());
        assert!(control_plane("ftp://127.0.0.1", &[]).is_err());
    }

    #[test]
    fn a_token_is_long_and_printable() {
        for wrong in ["", "short", "with a blank in it, but long enough", &"x".repeat(257)] {
            assert!(WorkerToken::new(wrong.into()).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn nobody_is_asked_for_an_org_of_which_no_turn_runs_here() {
        let plane = control_plane("http://127.0.0.1:9", &[]).expect("a control plane");
        let keys = RemoteKeys::new(Arc::new(PlaneClient::new(&plane).expect("a gateway")), Arc::default());
        let place = Place { org: OrgId::from_uuid(Uuid::nil()), field: "x", row: Uuid::nil() };
        let refused = keys.make(&place).await.expect_err("there is no turn");
        assert!(matches!(&refused, SecretError::Refused(text) if text.contains("no turn of org_")), "{refused}");
    }
}
