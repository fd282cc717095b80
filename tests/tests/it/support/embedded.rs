//! A server in the process of the test, as an embedder has it.

use everwit_runtime::{BuiltInHarnessDefinition, BuiltInHarnessRole, PlatformDefinition};
use everwit_server::{DurableWorkerConfig, ServerAppBuilder, ServerConfig, ServerHandle, WorkerAppBuilder, oss_platform_definition};
use tempfile::TempDir;

use super::Api;
use super::guests::compiler;

/// A data directory of its own; servers and workers come and go.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub(crate) fn config(&self) -> ServerConfig {
        let mut config = ServerConfig::default();
        config.listen = ([127, 0, 0, 1], 0).into();
        config.data_dir = self.0.path().join("data");
        config.compiler = compiler();
        config
    }

    /// Files of the data directory that contain a text.
    pub(crate) fn files_with(&self, text: &str) -> Vec<String> {
        super::files_with(&self.0.path().join("data"), text)
    }

    pub(crate) fn server(&self, platform: &PlatformDefinition) -> ServerAppBuilder {
        ServerAppBuilder::new(self.config()).platform_definition(platform.clone())
    }

    pub(crate) fn worker(&self, platform: &PlatformDefinition) -> WorkerAppBuilder {
        WorkerAppBuilder::new(DurableWorkerConfig::from(self.config())).platform_definition(platform.clone())
    }

    pub(crate) async fn start(&self, platform: &PlatformDefinition) -> ServerHandle {
        self.server(platform).start().await.expect("the server starts")
    }
}

/// A client without a key.
pub(crate) fn client(server: &ServerHandle) -> Api {
    Api::new(&format!("http://{}", server.address), None)
}

/// The stock definition with these harness templates.
pub(crate) fn with_harnesses(harnesses: impl IntoIterator<Item = BuiltInHarnessDefinition>) -> PlatformDefinition {
    let mut platform = oss_platform_definition();
    *platform.built_in_harnesses_mut() = harnesses.into_iter().collect();
    platform
}

/// A template with all of these roles.
pub(crate) fn template(key: &str, prompt: &str, roles: &[BuiltInHarnessRole]) -> BuiltInHarnessDefinition {
    BuiltInHarnessDefinition::new(key, key, "", prompt).with_roles(roles.iter().copied())
}
