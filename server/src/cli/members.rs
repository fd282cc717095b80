//! `everwit members`: who acts for the org, in which role. Changes need a key of scope admin.

use clap::{Args, Subcommand, ValueEnum};
use everwit_runtime::id::MemberId;
use everwit_runtime::store::Role;
use serde_json::{Value, json};

use super::client::{Server, ServerArgs};
use super::output::{Failure, Style, harmless, note, print};
use crate::auth::scope_name;

/// Options of `everwit members`.
#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    #[command(subcommand)]
    command: MembersCommand,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// List members, in the order in which they were added.
    List {
        /// How many, up to 100.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// Skip as many.
        #[arg(long, default_value_t = 0)]
        offset: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Add a member.
    Add {
        /// Name.
        name: String,
        /// What the member may do.
        #[arg(long, value_enum)]
        role: RoleArg,
        /// Where to reach this person; nothing is sent there.
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// Make a key of the member as well, which may do all that the role allows, and print it: it is shown this once only.
        #[arg(long)]
        with_key: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Give a member another role, which counts from its next request on.
    Role {
        /// The member.
        member: MemberId,
        /// What it may do.
        #[arg(value_enum)]
        role: RoleArg,
        #[command(flatten)]
        output: Output,
    },
    /// Remove a member with all its keys.
    Remove {
        /// The member.
        member: MemberId,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Everything in the org.
    Owner,
    /// Components, grants, secrets, budgets, and members that are no owners.
    Admin,
    /// Agents, sessions and own keys.
    Member,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Owner => Self::Owner,
            RoleArg::Admin => Self::Admin,
            RoleArg::Member => Self::Member,
        }
    }
}

#[derive(Debug, Args)]
struct Output {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Shows a member.
    fn show(&self, member: &Value) -> Result<(), Failure> {
        print(&if self.json { member.to_string() } else { line(member) })
    }
}

pub(crate) async fn run(args: MembersArgs) -> Result<(), Failure> {
    match args.command {
        MembersCommand::List { limit, offset, output } => {
            let answer = Server::at(&output.server)?.get(&format!("v1/members?limit={limit}&offset={offset}")).await?;
            if output.json {
                return print(&answer.to_string());
            }
            let lines: Vec<String> = answer["data"].as_array().into_iter().flatten().map(line).collect();
            print(&if lines.is_empty() { "there are no members".to_owned() } else { lines.join("\n") })
        }
        MembersCommand::Add { name, role, email, with_key, output } => {
            let (server, role) = (Server::at(&output.server)?, Role::from(role));
            let member = server.post_json("v1/members", &json!({ "name": name, "role": role.as_str(), "email": email })).await?;
            if with_key { add_key(&server, member, role, &output).await } else { output.show(&member) }
        }
        MembersCommand::Role { member, role, output } => {
            let server = Server::at(&output.server)?;
            output.show(&server.patch_json(&format!("v1/members/{member}"), &json!({ "role": Role::from(role).as_str() })).await?)
        }
        MembersCommand::Remove { member, output } => {
            Server::at(&output.server)?.delete(&format!("v1/members/{member}")).await?;
            print(&if output.json { json!({ "id": member }).to_string() } else { format!("removed {member}") })
        }
    }
}

/// Makes the first key of a new member; alone on stdout, so that it can be kept in a file.
async fn add_key(server: &Server, mut member: Value, role: Role, output: &Output) -> Result<(), Failure> {
    let request = json!({ "scope": scope_name(role.scope()), "member_id": member["id"] });
    let made = server.post_json("v1/api-keys", &request).await;
    let made = made.inspect_err(|_| note(&format!("{}\nThe member is added, and has no key.", line(&member))))?;
    if output.json {
        member["key"] = made["key"].clone();
        return print(&member.to_string());
    }
    note(&Style::stderr().dim(&line(&member)));
    print(&harmless(made["key"].as_str().unwrap_or_default()))
}

fn line(member: &Value) -> String {
    let text = |name: &str| harmless(member[name].as_str().unwrap_or_default());
    let email = member["email"].as_str().map(|email| format!("  <{}>", harmless(email))).unwrap_or_default();
    format!("{}  {:<6}  {}{email}", text("id"), text("role"), text("name"))
}
