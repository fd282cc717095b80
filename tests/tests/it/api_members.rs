//! Members of an org: their roles, their keys, and who may change either.

use std::process::Stdio;

use everwit_runtime::id::{KeyId, MemberId, OrgId};
use everwit_runtime::store::{ApiKey, FoundKey, Member, Role, RuntimeBackends, Scope, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Api, Server, everwit};

/// An org with people in it: the owner, an admin and a member, each with a key of the most that the role allows, and
/// the key of a service.
struct Team {
    server: Server,
    service: Api,
    owner: Person,
    admin: Person,
    member: Person,
}

struct Person {
    id: String,
    api: Api,
}

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("{body} has {field}")).to_owned()
}

/// What `everwit … --json` prints.
async fn run(server: &Server, args: &[&str]) -> Value {
    let output = everwit().args(args).args(["--json", "--data-dir"]).arg(server.data_dir()).output().await.expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

impl Team {
    async fn new() -> Self {
        let server = Server::start().await;
        let service = server.api_with_key("admin", None).await;
        let owner = service.post("/v1/members", &json!({ "name": "Olga", "role": "owner" })).await.expect(201);
        let key = run(&server, &["keys", "create", "--scope", "admin", "--member", &text(&owner, "id")]).await;
        let owner = Person { id: text(&owner, "id"), api: Api::new(server.url(), Some(text(&key, "key"))) };
        let [admin, member] =
            [("Adam", "admin"), ("Mona", "member")].map(|(name, role)| json!({ "name": name, "role": role, "email": "a@b.test" }));
        let admin = Self::hire(&server, &owner.api, &admin, "admin").await;
        let member = Self::hire(&server, &admin.api, &member, "write").await;
        Self { server, service, owner, admin, member }
    }

    /// Has somebody add a member, and make a first key for it.
    async fn hire(server: &Server, by: &Api, member: &Value, scope: &str) -> Person {
        let made = by.post("/v1/members", member).await.expect(201);
        let id = text(&made, "id");
        let key = by.post("/v1/api-keys", &json!({ "scope": scope, "member_id": id })).await.expect(201);
        assert_eq!((&key["member_id"], &key["scope"]), (&json!(id), &json!(scope)));
        Person { id, api: Api::new(server.url(), Some(text(&key, "key"))) }
    }

    fn path(person: &Person) -> String {
        format!("/v1/members/{}", person.id)
    }
}

#[tokio::test]
async fn everybody_has_the_scope_of_the_role_and_no_more() {
    let team = Team::new().await;
    for (person, role, scope) in [(&team.owner, "owner", "admin"), (&team.admin, "admin", "admin"), (&team.member, "member", "write")] {
        let me = person.api.get("/v1/me").await.expect(200);
        assert_eq!((&me["member"]["role"], &me["scope"], &me["subject"]), (&json!(role), &json!(scope), &json!(person.id)), "{me}");
    }
    let me = team.service.get("/v1/me").await.expect(200);
    assert!(me.get("member").is_none() && text(&me, "subject").starts_with("key_"), "{me}");
    assert_eq!(team.member.api.get("/v1/members").await.expect(200)["total"], 3);
    team.member.api.post("/v1/agents", &json!({ "name": "a", "system_prompt": "x" })).await.expect(201);
    assert_eq!(team.member.api.get("/v1/audit").await.expect(403)["code"], "insufficient_scope");
    let new = json!({ "name": "x", "role": "member" });
    assert_eq!(team.member.api.post("/v1/members", &new).await.expect(403)["code"], "insufficient_scope");
    for (wrong, pointer) in [
        (json!({ "name": "", "role": "member" }), "/name"),
        (json!({ "name": "x".repeat(65), "role": "member" }), "/name"),
        (json!({ "name": "x", "role": "member", "email": "nobody" }), "/email"),
    ] {
        assert_eq!(team.owner.api.post("/v1/members", &wrong).await.expect(422)["errors"][0]["pointer"], pointer, "{wrong}");
    }
}

#[tokio::test]
async fn another_role_counts_from_the_next_request_on() {
    let team = Team::new().await;
    let (owner, admin) = (&team.owner.api, &team.admin.api);
    admin.get("/v1/audit").await.expect(200);
    let changed = owner.patch(&Team::path(&team.admin), &json!({ "role": "member" })).await.expect(200);
    assert_eq!((&changed["role"], &changed["name"]), (&json!("member"), &json!("Adam")));
    assert_eq!(admin.get("/v1/audit").await.expect(403)["code"], "insufficient_scope");
    assert_eq!(admin.get("/v1/me").await.expect(200)["scope"], "write");
    owner.patch(&Team::path(&team.admin), &json!({ "role": "admin" })).await.expect(200);
    admin.get("/v1/audit").await.expect(200);
    assert_eq!(owner.delete(&Team::path(&team.admin)).await.status, 204);
    admin.get("/v1/me").await.expect(401);
    let keys = owner.get("/v1/api-keys").await.expect(200);
    assert!(!keys.to_string().contains(&team.admin.id), "its keys went with it: {keys}");
    assert_eq!(owner.delete(&Team::path(&team.admin)).await.status, 404);
}

#[tokio::test]
async fn nobody_rules_over_somebody_of_a_higher_role() {
    let team = Team::new().await;
    for by in [&team.admin.api, &team.service] {
        for (path, change) in [(Team::path(&team.owner), json!({ "name": "x" })), (Team::path(&team.member), json!({ "role": "owner" }))] {
            assert_eq!(by.patch(&path, &change).await.expect(403)["code"], "insufficient_role", "{path} {change}");
        }
        assert_eq!(by.delete(&Team::path(&team.owner)).await.expect(403)["code"], "insufficient_role");
        let new = json!({ "name": "x", "role": "owner" });
        assert_eq!(
            by.post("/v1/members", &new).await.expect(403)["code"],
            "insufficient_role",
            "only the first owner is anybody's to make"
        );
        let key = json!({ "scope": "read", "member_id": team.owner.id });
        assert_eq!(by.post("/v1/api-keys", &key).await.expect(403)["code"], "insufficient_role");
        let keys = by.get("/v1/api-keys").await.expect(200);
        let key = keys["data"].as_array().expect("a list").iter().find(|key| key["member_id"] == *team.owner.id).expect("it is listed");
        assert_eq!(by.delete(&format!("/v1/api-keys/{}", text(key, "id"))).await.expect(403)["code"], "insufficient_role");
    }
    // An owner with a lesser key is no owner.
    let lesser = team.owner.api.post("/v1/api-keys", &json!({ "scope": "write" })).await.expect(201);
    let lesser = Api::new(team.server.url(), Some(text(&lesser, "key")));
    assert_eq!(lesser.patch(&Team::path(&team.member), &json!({ "role": "admin" })).await.expect(403)["code"], "insufficient_scope");
    team.owner.api.patch(&Team::path(&team.member), &json!({ "role": "owner" })).await.expect(200);
}

#[tokio::test]
async fn members_have_keys_of_their_own_and_see_no_others() {
    let team = Team::new().await;
    let member = &team.member.api;
    let made = member.post("/v1/api-keys", &json!({ "name": "laptop", "scope": "read" })).await.expect(201);
    assert_eq!((&made["member_id"], &made["name"]), (&json!(team.member.id), &json!("laptop")));
    let own = Api::new(team.server.url(), Some(text(&made, "key")));
    assert_eq!(own.get("/v1/me").await.expect(200)["scope"], "read");
    own.post("/v1/api-keys", &json!({ "scope": "read" })).await.expect(403);
    for (wrong, code) in [
        (json!({ "scope": "admin" }), "insufficient_scope"),
        (json!({ "scope": "read", "member_id": null }), "insufficient_scope"),
        (json!({ "scope": "read", "member_id": team.admin.id }), "insufficient_scope"),
    ] {
        assert_eq!(member.post("/v1/api-keys", &wrong).await.expect(403)["code"], code, "{wrong}");
    }
    let beyond = team.admin.api.post("/v1/api-keys", &json!({ "scope": "admin", "member_id": team.member.id })).await.expect(422);
    assert_eq!(beyond["errors"][0]["code"], "beyond_role", "{beyond}");
    let operator = team.owner.api.post("/v1/api-keys", &json!({ "scope": "operator" })).await.expect(403);
    assert_eq!(operator["code"], "insufficient_scope");

    let listed = member.get("/v1/api-keys").await.expect(200);
    let keys = listed["data"].as_array().expect("a list");
    assert!(keys.len() == 2 && keys.iter().all(|key| key["member_id"] == *team.member.id && key.get("key").is_none()), "{listed}");
    let all = team.admin.api.get("/v1/api-keys").await.expect(200);
    let others = all["data"].as_array().expect("a list").iter().filter(|key| key["member_id"] != *team.member.id);
    for key in others {
        assert_eq!(member.delete(&format!("/v1/api-keys/{}", text(key, "id"))).await.status, 404, "it does not exist for others");
    }
    assert_eq!(member.delete(&format!("/v1/api-keys/{}", text(&made, "id"))).await.status, 204);
    own.get("/v1/me").await.expect(401);
    let service = team.admin.api.post("/v1/api-keys", &json!({ "scope": "admin", "member_id": null })).await.expect(201);
    assert_eq!(service.get("member_id"), None);

    let log = team.admin.api.get("/v1/audit?limit=100").await.expect(200);
    let by_member = log["data"].as_array().expect("a list").iter().filter(|entry| entry["actor"] == *team.member.id);
    let told: Vec<(String, u64)> = by_member.map(|entry| (text(entry, "action"), entry["status"].as_u64().expect("a status"))).collect();
    assert!(told.contains(&("POST /v1/api-keys".to_owned(), 200)) && told.contains(&("POST /v1/api-keys".to_owned(), 403)), "{told:?}");
    assert!(told.contains(&("DELETE /v1/api-keys/{key_id}".to_owned(), 200)), "{told:?}");
}

#[tokio::test]
async fn the_last_owner_stays_over_http_as_well() {
    let team = Team::new().await;
    let owner = &team.owner.api;
    assert_eq!(owner.patch(&Team::path(&team.owner), &json!({ "role": "admin" })).await.expect(409)["code"], "last_owner");
    assert_eq!(owner.delete(&Team::path(&team.owner)).await.expect(409)["code"], "last_owner");
    owner.patch(&Team::path(&team.admin), &json!({ "role": "owner" })).await.expect(200);
    assert_eq!(owner.delete(&Team::path(&team.owner)).await.status, 204);
    owner.get("/v1/me").await.expect(401);
    team.admin.api.get("/v1/me").await.expect(200);
}

fn member(role: Role) -> Member {
    let at = Timestamp::UNIX_EPOCH;
    let id = MemberId::from_uuid(Uuid::from_u128(1));
    Member { id, name: "a".to_owned(), email: None, role, version: 1, created_at: at, updated_at: at }
}

#[test]
fn a_key_does_no_more_than_its_members_role() {
    crate::support::mutation::apply();
    let org = OrgId::from_uuid(Uuid::nil());
    for (scope, role, may) in [
        (Scope::Admin, Some(Role::Owner), Some(Scope::Admin)),
        (Scope::Admin, Some(Role::Member), Some(Scope::Write)),
        (Scope::Operator, Some(Role::Owner), Some(Scope::Admin)),
        (Scope::Read, Some(Role::Owner), Some(Scope::Read)),
        (Scope::Read, None, None),
    ] {
        let (id, member, created_at) = (KeyId::from_uuid(Uuid::nil()), Some(member(Role::Member).id), Timestamp::UNIX_EPOCH);
        let key = ApiKey { id, org, name: String::new(), scope, member, secret_hash: [0; 32], created_at };
        assert_eq!(FoundKey { key, role }.scope(), may, "{scope:?} of {role:?}");
    }
}

#[tokio::test]
async fn an_org_that_has_an_owner_keeps_one() {
    crate::support::mutation::apply();
    let backends = RuntimeBackends::in_memory();
    let (org, owner) = (OrgId::from_uuid(Uuid::nil()), member(Role::Owner));
    backends.org_store.add_org(org, "tests", Timestamp::UNIX_EPOCH).await.expect("an org");
    backends.member_store.add_member(org, owner.clone()).await.expect("a member");
    let refused = backends.member_store.remove_member(org, owner.id).await;
    assert!(matches!(refused, Err(StoreError::LastOwner { .. })), "{refused:?}");
}

/// `everwit members` with these arguments, for the holder of a key: what it prints, or what it says against it.
async fn members(server: &Server, key: &str, args: &[&str]) -> Result<String, String> {
    let mut command = everwit();
    command.arg("members").args(args).args(["--server", server.url()]).env("EVERWIT_API_KEY", key);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").trim().to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[tokio::test]
async fn members_are_managed_from_the_command_line() {
    let server = Server::start().await;
    let admin = server.api_with_key("admin", None).await;
    let said = async |args: &[&str]| members(&server, admin.key(), args).await;
    assert_eq!(said(&["list"]).await.expect("a list"), "there are no members");
    let without = said(&["add", "Olga", "--role", "owner", "--with-key"]).await.expect_err("the first owner's key is made elsewhere");
    assert!(without.contains("  owner   Olga\nThe member is added, and has no key.") && without.contains("(403)"), "{without}");
    let listed: Value = serde_json::from_str(&said(&["list", "--json"]).await.expect("a list")).expect("JSON");
    let id = text(&listed["data"][0], "id");
    let made = run(&server, &["keys", "create", "--scope", "admin", "--member", &id]).await;
    let (id, key) = (id.as_str(), made["key"].as_str().expect("a key"));

    let adam: Value =
        serde_json::from_str(&members(&server, key, &["add", "Adam", "--role", "admin", "--with-key", "--json"]).await.expect("a member"))
            .expect("JSON");
    let me = Api::new(server.url(), Some(text(&adam, "key"))).get("/v1/me").await.expect(200);
    assert_eq!((&me["member"]["id"], &me["scope"]), (&adam["id"], &json!("admin")), "{me}");
    let key_of_max = said(&["add", "Max", "--role", "member", "--email", "max@example.org", "--with-key"]).await.expect("a key alone");
    assert!(key_of_max.starts_with("ew_") && key_of_max.lines().count() == 1, "{key_of_max}");
    let listed = said(&["list"]).await.expect("a list");
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0] == format!("{id}  owner   Olga") && lines[2].ends_with("  member  Max  <max@example.org>"), "{listed}");
    let max = lines[2].split_whitespace().next().expect("an id");
    assert!(members(&server, &key_of_max, &["role", max, "admin"]).await.expect_err("a member is no admin").contains("(403)"));
    let changed: Value = serde_json::from_str(&said(&["role", max, "admin", "--json"]).await.expect("it changes")).expect("JSON");
    assert_eq!(changed["role"], "admin", "{changed}");
    let last = members(&server, key, &["remove", id]).await.expect_err("the last owner stays");
    assert!(last.contains("(409)"), "{last}");
    assert_eq!(members(&server, key, &["remove", max]).await.expect("an owner may"), format!("removed {max}"));
    assert_eq!(Api::new(server.url(), Some(key_of_max)).get("/v1/me").await.status, 401, "its keys go with it");
}
