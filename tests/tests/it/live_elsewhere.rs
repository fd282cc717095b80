//! Deltas of a turn that runs in another process: two servers on one PostgreSQL database.

use async_trait::async_trait;
use everwit_runtime::PlatformDefinition;
use everwit_runtime::driver::llmsim::{LlmSim, LlmSimConfig};
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverId};
use everwit_server::{DatabaseConfig, ServerAppBuilder, ServerHandle, ServerRole, oss_platform_definition};
use futures::StreamExt as _;
use serde_json::json;
use tokio::sync::watch;

use crate::support::embedded::{Home, client};
use crate::support::postgres::{CONNECTIONS, new_database};

/// More than two deltas that one notification of the database can have.
const WORDS: usize = 600;

/// A simulated model that has said everything, and ends its answer only when it may.
#[derive(Clone)]
struct Patient {
    sim: LlmSim,
    may_end: watch::Receiver<bool>,
}

#[async_trait]
impl ChatDriver for Patient {
    async fn complete(&self, request: ChatRequest, context: DriverContext) -> Result<ChatStream, DriverError> {
        let may_end = self.may_end.clone();
        let held = self.sim.complete(request, context).await?.then(move |event| {
            let mut may_end = may_end.clone();
            async move {
                if !matches!(event, Ok(ChatEvent::Text(_))) {
                    may_end.wait_for(|may_end| *may_end).await.expect("the test lives");
                }
                event
            }
        });
        Ok(held.boxed())
    }
}

fn platform(text: &str, may_end: watch::Receiver<bool>) -> PlatformDefinition {
    let config = serde_json::from_value::<LlmSimConfig>(json!({ "response": { "fixed": text } })).expect("a script");
    let patient = Patient { sim: LlmSim::new(config), may_end };
    let mut platform = oss_platform_definition();
    platform.driver_registry_mut().register_or_replace(DriverId::LlmSim, move |_| Box::new(patient.clone()));
    platform
}

async fn server(home: &Home, database: &str, role: ServerRole, platform: PlatformDefinition) -> ServerHandle {
    let mut config = home.config();
    config.database = DatabaseConfig::Postgres(Box::new(database.parse().expect("a URL")));
    (config.database_connections, config.role) = (CONNECTIONS, role);
    ServerAppBuilder::new(config).platform_definition(platform).start().await.expect("it starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_shows_the_deltas_of_a_turn_in_another_process_and_of_its_own_session_only() {
    let (database, homes) = (new_database().await, [Home::new(), Home::new()]);
    let text: String = (0..WORDS).map(|word| format!("größe-{word} ")).collect();
    let (end, may_end) = watch::channel(false);
    let runs = server(&homes[0], &database, ServerRole::All, platform(&text, may_end.clone())).await;
    let shows = server(&homes[1], &database, ServerRole::ControlPlane, platform(&text, may_end)).await;
    let (there, here) = (client(&runs), client(&shows));
    let sessions = [there.session().await, there.session().await];
    let mut streams = [here.stream(&sessions[0], "").await, here.stream(&sessions[1], "").await];
    for session in &sessions {
        there.say(session, "go").await;
    }
    for (session, stream) in sessions.iter().zip(&mut streams) {
        let (mut heard, mut deltas) = (String::new(), 0);
        while heard.len() < text.len() {
            let frame = stream.until("output.message.delta").await.pop().expect("a delta");
            assert_eq!(frame.data["data"]["offset"], heard.len() as u64, "{frame:?} leaves a gap");
            assert!(frame.id.is_none() && frame.data["session_id"] == **session, "{frame:?}");
            heard.push_str(frame.data["data"]["delta"].as_str().expect("a text"));
            deltas += 1;
        }
        assert!(heard == text && deltas > 2, "{deltas} deltas");
    }
    end.send_replace(true);
    for stream in &mut streams {
        let frames = stream.until("session.idled").await;
        let completed = frames.iter().find(|frame| frame.event == "output.message.completed").expect("an answer");
        assert_eq!(completed.data["data"]["message"]["content"][0]["text"], text);
        assert!(frames.iter().all(|frame| frame.event != "output.message.delta"), "nothing comes twice");
    }
}
