//! Deltas of a turn that runs in another process: two servers on one PostgreSQL database.

use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_server::{DatabaseConfig, ServerAppBuilder, ServerHandle, ServerRole};

use crate::support::deltas::{assert_deltas, slow_answer};
use crate::support::embedded::{Home, client};
use crate::support::postgres::{CONNECTIONS, new_database};

async fn server(home: &Home, database: &str, role: ServerRole) -> ServerHandle {
    let mut config = home.config();
    config.database = DatabaseConfig::Postgres(Box::new(database.parse().expect("a URL")));
    (config.database_connections, config.role) = (CONNECTIONS, role);
    config.llmsim = Some(serde_json::from_value::<LlmSimConfig>(slow_answer()).expect("a script"));
    ServerAppBuilder::new(config).start().await.expect("it starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_shows_the_deltas_of_a_turn_in_another_process_and_of_its_own_session_only() {
    let (database, homes) = (new_database().await, [Home::new(), Home::new()]);
    let runs = server(&homes[0], &database, ServerRole::All).await;
    let shows = server(&homes[1], &database, ServerRole::ControlPlane).await;
    let (there, here) = (client(&runs), client(&shows));
    let sessions = [there.session().await, there.session().await];
    let mut streams = [here.stream(&sessions[0], "").await, here.stream(&sessions[1], "").await];
    for session in &sessions {
        there.say(session, "go").await;
    }
    for (session, stream) in sessions.iter().zip(&mut streams) {
        let frames = stream.until("session.idled").await;
        assert_deltas(&frames, session);
    }
}
