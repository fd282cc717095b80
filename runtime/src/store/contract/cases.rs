//! The list of cases, by the modules that have them.

/// Calls a macro with the list of cases, behind arguments of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_contract_cases {
    ($callback:ident!($($arguments:tt)*)) => {
        $crate::$callback! { [$($arguments)*]
            harnesses {
                reads_back_every_field
                absent_is_none
                a_taken_name_or_id_is_a_duplicate
                an_update_replaces_every_field
                an_update_of_an_old_version_is_stale
                an_update_of_nothing_is_not_found
                an_update_to_a_taken_name_is_a_duplicate
                lists_pages_in_order_of_creation
                keeps_times_to_the_microsecond
            }
            agents {
                reads_back_every_field
                absent_is_none
                a_taken_name_or_id_is_a_duplicate
                an_update_replaces_every_field
                an_update_of_an_old_version_is_stale
                an_update_of_nothing_is_not_found
                an_update_to_a_taken_name_is_a_duplicate
                lists_pages_in_order_of_creation
                keeps_times_to_the_microsecond
            }
            providers {
                reads_back_every_field
                absent_is_none
                a_taken_name_or_id_is_a_duplicate
                an_update_replaces_every_field
                an_update_of_an_old_version_is_stale
                an_update_of_nothing_is_not_found
                an_update_to_a_taken_name_is_a_duplicate
                lists_pages_in_order_of_creation
                keeps_times_to_the_microsecond
            }
            models {
                reads_back_every_field
                a_model_needs_its_provider
                a_taken_name_or_id_is_a_duplicate
                an_update_replaces_every_field
                an_update_of_an_old_version_or_of_nothing_is_refused
                lists_those_of_a_provider_or_all
                at_most_one_is_the_default
                a_refused_default_leaves_the_default
                goes_with_its_provider
                a_removal_needs_the_version
                a_seed_is_added_once
                a_refused_seed_stays_free
                sealed_providers_are_found_in_parts
            }
            sessions {
                reads_back_every_field
                starts_its_log_with_the_first_event
                a_taken_id_is_a_duplicate
                an_update_keeps_the_status
                an_update_replaces_every_other_field
                an_update_of_an_old_version_is_stale
                an_update_of_nothing_is_not_found
                lists_pages_in_order_of_creation
                is_started_then_active_then_idle
                stays_active_while_a_turn_is_open
                is_updated_at_its_last_event
                a_deletion_leaves_nothing
                a_deletion_leaves_the_others
                a_deletion_waits_for_open_turns
                a_deletion_of_another_version_is_stale
            }
            turns {
                a_submission_appends_its_input_and_opens_the_turn
                a_repeated_submission_changes_nothing
                a_repeated_submission_of_an_ended_turn_changes_nothing
                a_turn_belongs_to_one_session
                a_submission_needs_a_session
                a_live_only_input_is_refused
                too_many_open_turns_are_refused
                a_submission_leaves_the_owner_its_fence
                claims_take_the_oldest_turn
                each_claim_grows_fence_and_attempt
                a_claim_at_a_fence_must_be_the_newest
                nothing_is_claimed_when_no_turn_is_open
                a_claim_says_whether_a_cancel_was_requested
                only_open_turns_can_be_cancelled
                a_turn_that_just_waits_can_be_merged
                a_turn_that_does_not_just_wait_is_not_merged
                recovery_finds_sessions_with_open_turns
                turns_are_listed_by_session_and_end
                events_count_their_bytes_until_their_session_is_deleted
                turns_are_counted_by_the_minute_of_their_messages
            }
            parking {
                a_parked_turn_is_open_and_not_claimed
                only_the_owner_parks_a_turn_and_only_an_open_one
                an_answer_leaves_the_turn_waiting_until_it_wakes
                an_answer_needs_a_waiting_turn
                an_answer_to_another_end_of_the_log_is_refused
                a_refused_answer_changes_nothing
                a_submission_wakes_the_turn
                a_cancel_wakes_the_turn
                of_parallel_answers_one_counts
                waiting_sessions_are_found_in_parts
                a_session_whose_turn_waits_to_be_resumed_is_paused
            }
            append {
                stores_events_in_order_and_returns_them
                refuses_a_stale_fence
                refuses_a_fence_from_the_future
                refuses_another_sequence
                names_the_fence_before_the_sequence
                needs_a_session
                ends_a_turn_in_every_way
                refuses_to_end_a_turn_that_is_not_open
                may_end_a_turn_without_events
                without_anything_changes_nothing
                refuses_a_taken_event_id
                takes_a_thousand_events_and_no_more
                refuses_live_only_events
                keeps_payloads_exactly
            }
            reading {
                pages_through_the_log
                returns_a_thousand_events_at_most
                finds_events_by_id
                an_absent_session_has_an_empty_log
            }
            messages {
                what_the_log_settled_is_loaded_in_order
                payloads_are_kept_exactly
                recording_again_changes_nothing
                an_overlap_adds_only_what_is_new
                a_gap_is_refused
                thousands_of_messages_are_loaded
                sessions_never_meet
                an_absent_session_has_no_messages
            }
            concurrency {
                parallel_submissions_of_a_turn_have_one_effect
                parallel_submissions_of_many_turns_leave_no_gap
                one_of_parallel_appends_wins
                writers_that_retry_leave_no_gap
                parallel_claims_have_distinct_fences
                one_of_parallel_updates_wins
                parallel_uploads_of_the_same_bytes_are_one_version
                parallel_uploads_are_numbered_without_gaps
                parallel_increments_are_all_counted
                there_is_one_default_org
            }
            components {
                reads_back_a_first_version
                the_same_bytes_are_the_same_version
                an_org_has_so_many_components
                an_org_stores_so_many_bytes
                version_numbers_grow_by_one
                the_same_bytes_may_have_two_names
                a_name_belongs_to_one_kind
                wrong_bytes_for_a_digest_are_refused
                a_taken_id_is_a_duplicate
                lists_components_in_order_of_creation
                lists_versions_newest_first
                activation_sets_grant_and_budget_of_one_version
                activation_needs_component_and_version
                an_upload_activates_nothing
                archives_and_brings_back
                bytes_are_shared_and_found_by_their_uploaders_only
            }
            versions {
                a_channel_points_beside_the_active_version
                a_component_has_so_many_channels
                a_version_that_turns_are_given_is_not_archived
                bytes_of_archived_versions_are_deleted_and_come_back
                so_many_versions_are_collected_at_once
                bytes_that_another_version_has_stay
                bytes_stay_while_an_open_turn_uses_them
                what_is_archived_makes_room
                one_that_came_back_is_not_taken_at_once
                a_signature_is_kept_and_can_come_later
            }
            members {
                members_are_listed_in_order_and_belong_to_one_org
                a_member_is_changed_by_version
                an_org_that_has_an_owner_keeps_one
                one_of_parallel_owners_stays
                a_key_has_the_role_of_its_member_at_this_moment
                an_org_has_so_many_members_and_each_so_many_keys
            }
            kv {
                reads_what_was_written
                versions_count_writes
                a_version_never_comes_back
                a_write_over_another_version_is_stale
                a_removal_of_another_version_is_stale
                scopes_never_meet
                keys_are_listed_in_byte_order
                a_prefix_is_no_pattern
                keys_are_listed_in_parts
                any_text_is_a_key
                long_keys_and_values_are_refused
                a_bucket_has_so_many_keys
                a_bucket_has_so_many_bytes
            }
            files {
                reads_what_was_written
                directories_come_with_files_and_stay
                lists_children_or_all_in_order_of_paths
                a_file_is_no_directory_and_a_directory_no_file
                a_write_over_another_content_is_stale
                a_readonly_file_is_changed_by_its_owner_only
                deletes_what_is_below_only_when_told
                moves_files_and_whole_directories
                sessions_never_meet
                large_files_and_too_many_bytes_are_refused
                a_session_has_so_many_files
                finds_lines_of_text_files
                a_search_ends_at_so_many_matches
                a_search_reads_so_many_bytes
                a_starter_file_never_replaces_another
            }
            orgs {
                the_default_org_stays
                a_taken_name_or_id_is_a_duplicate
                keys_are_found_by_their_hash
                keys_are_listed_in_order_of_creation
                what_was_done_is_listed_newest_first
                a_removed_key_is_gone
                a_taken_key_is_a_duplicate
                a_key_needs_its_org
                an_installation_secret_is_made_once
                the_installation_knows_whether_it_has_keys
            }
            connections {
                reads_back_every_field
                a_user_has_one_connection_with_a_provider
                an_update_of_an_old_version_or_of_nothing_is_refused
                users_never_meet
                a_user_has_so_many_connections
                an_authorization_is_taken_once
                old_authorizations_make_room
                session_secrets_are_changed_at_once
                a_session_has_so_many_secrets
                session_secrets_go_with_the_session
                sealed_rows_are_found_in_parts
            }
            requests {
                a_repeated_request_is_the_first_one
                routes_and_keys_tell_requests_apart
                old_requests_are_forgotten
                of_many_at_once_one_is_first
                a_request_needs_its_org
            }
            setup {
                a_new_org_has_no_settings
                all_orgs_are_listed
                settings_are_replaced_by_version
                seeds_are_kept_by_kind_and_key
                a_resource_is_used_by_what_needs_it
                what_nothing_refers_to_can_be_deleted
                a_caller_has_one_chat_session
            }
            usage {
                budgets_are_read_back_and_listed_in_order
                the_budgets_of_a_session_are_its_own_and_those_above_it
                a_subject_has_so_many_budgets
                a_budget_changes_and_goes_by_version
                what_is_reserved_is_not_left_for_others
                what_was_used_takes_the_place_of_what_was_reserved
                what_a_dead_turn_reserved_counts_as_used
                a_new_period_begins_with_nothing
                parallel_reservations_never_exceed_the_limit
                settling_tells_what_the_accounts_say
                a_top_up_adds_to_a_budget_once
                a_top_up_is_of_its_period_and_has_a_limit
                parallel_top_ups_of_an_id_are_one
            }
            secrets {
                secrets_are_added_replaced_and_removed_by_name
                an_org_has_so_many_secrets
                sealed_org_secrets_are_found_in_parts
            }
            workers {
                a_worker_is_known_by_its_last_report
                a_worker_drains_until_it_is_told_otherwise
                who_was_not_seen_for_long_is_not_listed_and_then_forgotten
            }
            isolation {
                another_org_sees_what_an_empty_org_sees
                the_same_ids_can_exist_in_two_orgs
                another_org_changes_nothing
            }
        }
    };
}
