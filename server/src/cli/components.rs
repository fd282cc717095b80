//! `everwit components`: which versions of components a server has, which of them turns are given, and which go.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Server, ServerArgs};
use super::output::{Failure, harmless, print};
use super::push::encoded;

/// Components and versions that a list shows; the server gives no more at once.
const LISTED: u32 = 100;

/// Options of `everwit components`.
#[derive(Debug, Args)]
pub(crate) struct ComponentsArgs {
    #[command(subcommand)]
    command: ComponentsCommand,
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as one JSON value.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ComponentsCommand {
    /// List components with their active versions and channels.
    List,
    /// List the versions of a component, newest first.
    Versions {
        /// Id or name.
        component: String,
    },
    /// Let new turns use a version that somebody agreed to before, with the grant and the limits that it has.
    Use {
        /// Id or name.
        component: String,
        /// Number.
        version: u32,
        /// Let this channel point to it, in place of making it the active one.
        #[arg(long, value_name = "CHANNEL")]
        channel: Option<String>,
    },
    /// Go back to the version that was active before.
    Rollback {
        /// Id or name.
        component: String,
    },
    /// Remove a channel. Refused while harnesses or agents ask for it.
    RemoveChannel {
        /// Id or name.
        component: String,
        /// The channel.
        channel: String,
    },
    /// Archive a component, or one version of it. Its bytes are deleted when the room is needed, or after a week.
    Archive {
        /// Id or name.
        component: String,
        /// Only this version.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
        /// Archive the component although harnesses, agents or providers use it.
        #[arg(long, conflicts_with = "version")]
        force: bool,
    },
}

pub(crate) async fn run(args: ComponentsArgs) -> Result<(), Failure> {
    let server = Server::at(&args.server)?;
    let (answer, said) = args.command.run(&server).await?;
    print(&if args.json { answer.to_string() } else { said })
}

impl ComponentsCommand {
    /// What the server answers, and that for people.
    async fn run(self, server: &Server) -> Result<(Value, String), Failure> {
        match self {
            Self::List => {
                let answer = server.get(&format!("v1/components?limit={LISTED}")).await?;
                let said = lines(&answer, component, "there is no component yet");
                Ok((answer, said))
            }
            Self::Versions { component } => {
                let answer = server.get(&format!("{}/versions?limit={LISTED}", path(&component))).await?;
                let said = lines(&answer, version, "there is no version");
                Ok((answer, said))
            }
            Self::Use { component, version, channel } => choose(server, &component, version, channel.as_deref()).await,
            Self::Rollback { component } => {
                let answer = server.post_json(&format!("{}/rollback", path(&component)), &json!({})).await?;
                let said = format!("version {} is active", answer["version"]);
                Ok((answer, said))
            }
            Self::RemoveChannel { component, channel } => {
                let answer = server.delete(&format!("{}/channels/{}", path(&component), encoded(&channel))).await?;
                Ok((answer, format!("channel {} is removed", harmless(&channel))))
            }
            Self::Archive { component, version: Some(version), .. } => {
                let answer = server.delete(&format!("{}/versions/{version}", path(&component))).await?;
                Ok((answer, format!("version {version} of {} is archived", harmless(&component))))
            }
            Self::Archive { component, version: None, force } => {
                let answer = server.delete(&format!("{}?force={force}", path(&component))).await?;
                Ok((answer, format!("{} is archived", harmless(&component))))
            }
        }
    }
}

/// Has a version used with what was agreed to for it.
async fn choose(server: &Server, component: &str, number: u32, channel: Option<&str>) -> Result<(Value, String), Failure> {
    let place = format!("{}/versions/{number}", path(component));
    let known = server.get(&place).await?;
    if known["granted_at"].is_null() {
        return Err(Failure::failed(format!(
            "nobody has agreed yet to version {number} of {}\nto fix it: push its file with --activate or --channel, which shows what it asks for",
            harmless(component)
        )));
    }
    let body = json!({ "grant": known["grant"], "limits": known["limits"], "channel": channel });
    let answer = server.post_json(&format!("{place}/activate"), &body).await?;
    let said = match channel {
        Some(channel) => format!("channel {} points to version {number}", harmless(channel)),
        None => format!("version {number} is active"),
    };
    Ok((answer, said))
}

fn path(component: &str) -> String {
    format!("v1/components/{}", encoded(component))
}

fn lines(answer: &Value, line: fn(&Value) -> String, none: &str) -> String {
    let lines: Vec<String> = answer["data"].as_array().into_iter().flatten().map(line).collect();
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}

fn component(component: &Value) -> String {
    let channels = component["channels"].as_object().into_iter().flatten();
    let channels: String = channels.map(|(channel, version)| format!("  {}={version}", harmless(channel))).collect();
    let state = match (&component["archived_at"], &component["active_version"]) {
        (Value::String(_), _) => "archived".to_owned(),
        (_, Value::Null) => "not active".to_owned(),
        (_, active) => format!("active={active}"),
    };
    format!("{:<32}  {state}  latest={}{channels}", text(&component["name"]), component["latest_version"])
}

fn version(version: &Value) -> String {
    let mut states = Vec::new();
    if version["active"] == true {
        states.push("active".to_owned());
    }
    states.extend(version["channels"].as_array().into_iter().flatten().map(text));
    match version {
        _ if version["stored_at"].is_null() => states.push("archived, bytes deleted".to_owned()),
        _ if version["archived_at"].is_string() => states.push("archived".to_owned()),
        _ if version["granted_at"].is_null() => states.push("not agreed to".to_owned()),
        _ => {}
    }
    format!("{:>4}  {}  {} bytes  {}", version["version"], text(&version["digest"]), version["size"], states.join(", "))
}

fn text(value: &Value) -> String {
    harmless(value.as_str().unwrap_or_default())
}
