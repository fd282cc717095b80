//! The methods that take an org, which the cases of isolation call.

/// Methods that read what belongs to an org.
#[rustfmt::skip]
pub const READING_METHODS: &[&str] = &[
    "get_harness", "find_harness", "list_harnesses", "get_agent", "find_agent", "list_agents", "get_session", "list_sessions",
    "open_turns", "owner", "read_events", "last_sequence", "find_event", "get_component", "find_component", "list_components", "get_version",
    "list_versions", "read_wasm", "get", "keys", "list_keys", "read_file", "stat_file", "list_directory", "grep_files", "list_seeds", "find_seed", "is_used", "chat_session", "load_messages",
    "get_provider", "find_provider", "list_providers", "get_model", "list_models", "default_model",
    "list_turns", "waiting_sessions", "log_usage", "list_audit_entries", "get_connection", "list_connections", "get_session_secret", "list_session_secrets",
    "get_budget", "list_budgets", "budgets_of", "read_balance", "list_postings", "get_secret", "list_secrets", "get_member", "list_members",
];

/// Methods that change or remove what belongs to an org.
#[rustfmt::skip]
pub const CHANGING_METHODS: &[&str] = &[
    "claim_turn", "claim_turn_at", "request_cancel", "append", "answer_turn", "submit_turn", "update_harness", "update_agent", "update_session", "delete_session", "delete_unused", "activate",
    "remove_channel", "archive_version", "archive_component", "collect", "remove", "remove_key", "write_file_if_content_matches", "move_file", "delete_file", "record_messages",
    "update_provider", "update_model", "remove_model", "remove_provider",
    "swap_session_secret", "update_connection", "remove_connection", "take_authorization",
    "update_budget", "settle", "settle_turn", "top_up", "remove_budget",
    "replace_secret", "swap_secret", "remove_secret", "update_member", "remove_member",
];

/// Methods that add to an org.
#[rustfmt::skip]
pub const ADDING_METHODS: &[&str] = &[
    "add_harness", "add_agent", "add_session", "add_version", "put", "add_key", "add_audit_entry", "remember_request", "write_file", "create_directory",
    "seed_initial_file", "put_seed", "replace_chat_session",
    "add_provider", "add_model", "seed_provider", "seed_model",
    "put_connection", "add_authorization", "change_session_secrets",
    "add_budget", "reserve", "add_secret", "add_member",
];
