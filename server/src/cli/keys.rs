//! `everwit keys`: works on the database itself, whether a server runs or not.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use everwit_runtime::id::{KeyId, MemberId, OrgId};
use everwit_runtime::store::{ApiKey, RuntimeBackends, Scope};
use secrecy::ExposeSecret;

use super::output::{Failure, note, print};
use crate::api::api_keys::MAX_KEY_NAME_BYTES;
use crate::auth::{hash_secret, new_secret, scope_name};
use crate::data_dir::DataDir;
use crate::database::{COMMAND_CONNECTIONS, Database, DatabaseArgs};
use crate::moments::Moments;

/// Options of `everwit keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The server's data directory.
    #[arg(long, global = true, env = "EVERWIT_DATA_DIR", default_value = "./everwit-data", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    /// The org; the default org if absent.
    #[arg(long, global = true, value_name = "ORG_ID")]
    org: Option<OrgId>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key and print it; it is shown this once only.
    Create {
        /// What the key may do; each includes the ones before it.
        #[arg(long, value_enum)]
        scope: ScopeArg,
        /// What it is for.
        #[arg(default_value = "")]
        name: String,
        /// The member whose key it is; without, it is one of a service.
        #[arg(long, value_name = "MEMBER_ID", conflicts_with = "new_org")]
        member: Option<MemberId>,
        /// Make an org of this name, and the key for it.
        #[arg(long, value_name = "NAME", conflicts_with = "org")]
        new_org: Option<String>,
    },
    /// List the keys of an org, without their secrets.
    List,
    /// Revoke a key at once.
    Revoke {
        /// Id of the key.
        id: KeyId,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScopeArg {
    /// Reading.
    Read,
    /// Changing things and running turns.
    Write,
    /// Keys, components and grants.
    Admin,
    /// What belongs to the installation and to no org: its workers. Not for tenants.
    Operator,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Read => Self::Read,
            ScopeArg::Write => Self::Write,
            ScopeArg::Admin => Self::Admin,
            ScopeArg::Operator => Self::Operator,
        }
    }
}

pub(crate) async fn run(args: KeysArgs) -> Result<(), Failure> {
    let dir = DataDir::create(&args.data_dir)?;
    let config = args.database.parse().map_err(Failure::usage)?;
    let database = Database::open(&dir, &config, COMMAND_CONNECTIONS).await?;
    let keys = Keys { stores: database.backends(), moments: Moments::system(), json: args.json };
    let org = match args.org {
        Some(org) => org,
        None => keys.stores.org_store.default_org(OrgId::from_uuid(keys.moments.uuid()), keys.moments.now()).await?,
    };
    match args.command {
        KeysCommand::Create { scope, name, member, new_org: Some(org_name) } => {
            let org = keys.new_org(&org_name).await?;
            keys.create(org, scope.into(), (name, member)).await
        }
        KeysCommand::Create { scope, name, member, new_org: None } => keys.create(org, scope.into(), (name, member)).await,
        KeysCommand::List => keys.list(org).await,
        KeysCommand::Revoke { id } => keys.revoke(org, id).await,
    }
}

struct Keys {
    stores: RuntimeBackends,
    moments: Moments,
    json: bool,
}

impl Keys {
    async fn new_org(&self, name: &str) -> Result<OrgId, Failure> {
        let org = OrgId::from_uuid(self.moments.uuid());
        self.stores.org_store.add_org(org, name, self.moments.now()).await?;
        Ok(org)
    }

    async fn create(&self, org: OrgId, scope: Scope, (name, member): (String, Option<MemberId>)) -> Result<(), Failure> {
        if name.len() > MAX_KEY_NAME_BYTES {
            return Err(Failure::usage(format!("the name has {} bytes; at most {MAX_KEY_NAME_BYTES} are allowed", name.len())));
        }
        let secret = new_secret()?;
        let id = KeyId::from_uuid(self.moments.uuid());
        let key = ApiKey { id, org, name, scope, member, secret_hash: hash_secret(&secret), created_at: self.moments.now() };
        self.stores.org_store.add_key(key.clone()).await?;
        let secret = secret.expose_secret();
        if self.json {
            let mut line = shown(&key);
            line["key"] = secret.into();
            return print(&line.to_string());
        }
        note(&format!("{id}, scope {}, for {org}. The key is shown this once only:", scope_name(scope)));
        print(secret)
    }

    async fn list(&self, org: OrgId) -> Result<(), Failure> {
        let keys = self.stores.org_store.list_keys(org).await?;
        if self.json {
            let lines: Vec<_> = keys.iter().map(shown).collect();
            return print(&serde_json::json!({ "data": lines }).to_string());
        }
        if keys.is_empty() {
            note(&format!("{org} has no keys"));
        }
        keys.iter().try_for_each(|key| print(&format!("{}  {:5}  {}  {}", key.id, scope_name(key.scope), key.created_at, key.name)))
    }

    async fn revoke(&self, org: OrgId, id: KeyId) -> Result<(), Failure> {
        if !self.stores.org_store.remove_key(org, id).await? {
            return Err(Failure::failed(format!("{org} has no key {id}")));
        }
        if self.json { print(&serde_json::json!({ "revoked": id }).to_string()) } else { print(&format!("revoked {id}")) }
    }
}

fn shown(key: &ApiKey) -> serde_json::Value {
    serde_json::json!({
        "id": key.id,
        "organization_id": key.org,
        "name": key.name,
        "scope": key.scope,
        "member_id": key.member,
        "created_at": key.created_at,
    })
}
